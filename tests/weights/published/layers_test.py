"""PyTorch layers under our names compute what they computed there."""

import re

import numpy as np
import pytest

from condfoley_jax.weights.published import layers

RNG = np.random.default_rng(0)


def tensor(*shape):
  return RNG.standard_normal(shape).astype(np.float32)


def taken(take, state, *args, shapes):
  """What `take` makes of the whole of `state` for a model of these shapes."""
  with layers.taking(state, shapes) as tensors:
    return take(tensors, *args)


@pytest.mark.parametrize("ones", [(), (1,), (1, 1)])
def test_linear_layers_and_pointwise_convolutions_are_transposed(ones):
  weight, bias, x = tensor(4, 3), tensor(4), tensor(3)
  state = {"there.weight": weight.reshape(4, 3, *ones), "there.bias": bias}
  params = taken(layers.linear, state, "there", "here", shapes={"here/kernel": (3, 4), "here/bias": (4,)})
  np.testing.assert_allclose(x @ params["here/kernel"] + params["here/bias"], weight @ x + bias, rtol=1e-5)


def test_fused_layers_keep_the_order_of_their_sources():
  state = {f"{part}.{kind}": tensor(*shape) for part in "qkv" for kind, shape in (("weight", (2, 3)), ("bias", (2,)))}
  expected = np.concatenate([state[f"{part}.bias"] for part in "qkv"])
  weights = np.concatenate([state[f"{part}.weight"] for part in "qkv"])
  params = taken(layers.fused, state, ["q", "k", "v"], "qkv", shapes={"qkv/kernel": (3, 6), "qkv/bias": (6,)})
  np.testing.assert_array_equal(params["qkv/bias"], expected)
  np.testing.assert_array_equal(params["qkv/kernel"], weights.T)


def test_heads_are_an_axis_of_their_own():
  state = {f"{part}.{kind}": tensor(*shape) for part in "qkv" for kind, shape in (("weight", (4, 3)), ("bias", (4,)))}
  x, expected = tensor(3), {part: (state[f"{part}.weight"], state[f"{part}.bias"]) for part in "qkv"}
  params = taken(
    layers.heads, state, ["q", "k", "v"], "qkv", shapes={"qkv/kernel": (3, 3, 2, 2), "qkv/bias": (3, 2, 2)}
  )
  found = np.tensordot(x, params["qkv/kernel"], 1) + params["qkv/bias"]
  for row, (weight, bias) in zip(found, expected.values(), strict=True):
    np.testing.assert_allclose(row.ravel(), weight @ x + bias, rtol=1e-5)


def test_convolutions_become_height_width_in_out():
  weight = tensor(5, 4, 3, 2)
  params = taken(layers.conv2d, {"there.weight": weight}, "there", "here", shapes={"here/kernel": (3, 2, 4, 5)})
  assert params.keys() == {"here/kernel"}
  assert params["here/kernel"].shape == (3, 2, 4, 5) and params["here/kernel"][2, 1, 3, 4] == weight[4, 3, 2, 1]


def test_batch_norm_takes_its_statistics_and_its_counter_is_dropped():
  state = {f"bn.{name}": tensor(2) for name in ("weight", "bias", "running_mean", "running_var")}
  counted = state | {"bn.num_batches_tracked": np.array(3)}
  params = taken(layers.batch_norm, counted, "bn", "norm", shapes={"norm/scale": (2,)})
  assert params.keys() == {f"norm/{name}" for name in ("scale", "bias", "mean", "var")}
  assert params["norm/mean"] is state["bn.running_mean"] and params["norm/var"] is state["bn.running_var"]


def test_all_that_does_not_fit_is_listed_in_one_error():
  shapes = {"qk/kernel": (3, 4), "qk/bias": (4,), "conv/kernel": (3, 3, 2, 1), "conv/bias": (1,), "norm/scale": (2,)}
  state = {"q.weight": tensor(2, 5), "k.bias": tensor(2), "norm.bias": tensor(2, 1), "spare": tensor(1)}
  missing = r"tensors missing \(5\): conv.bias, conv.weight, k.weight, norm.weight, q.bias"
  misshapen = r"of another shape \(2\): norm.bias is \[2, 1\] and should be \[2\], q.weight is \[2, 5\] .* \[2, 3\]"
  with (
    pytest.raises(ValueError, match=f"{missing}; tensors {misshapen}; tensors left over .*: spare"),
    layers.taking(state, shapes) as tensors,
  ):
    layers.fused(tensors, ["q", "k"], "qk")
    layers.conv2d(tensors, "conv", "conv")
    layers.norm(tensors, "norm", "norm")


@pytest.mark.parametrize(
  ("take", "shape", "ours", "wanted"),
  [
    (layers.conv2d, (5,), (3, 3, 4, 5), "[5, 4, 3, 3]"),
    (layers.conv2d, (5, 4, 3, 2), (3, 3, 4, 5), "[5, 4, 3, 3]"),
    (layers.spatial_conv, (5, 4, 2, 3, 3), (3, 3, 4, 5), "[5, 4, 1, 3, 3]"),
    (layers.temporal_conv, (5, 4, 3, 1, 3), (3, 4, 5), "[5, 4, 3, 1, 1]"),
    (layers.linear, (4, 5), (4, 5), "[5, 4]"),
    (layers.linear, (5, 4, 2), (4, 5), "[5, 4, 1]"),
  ],
)
def test_a_tensor_of_another_shape_is_named_with_the_published_one(take, shape, ours, wanted):
  message = f"there.weight is {list(shape)} and should be {wanted}"
  with pytest.raises(ValueError, match=re.escape(message)):
    taken(take, {"there.weight": tensor(*shape)}, "there", "here", shapes={"here/kernel": ours})


def test_any_size_will_do_where_none_is_asked():
  with layers.taking({"a": tensor(1, 7, 2)}, {}) as tensors:
    assert tensors.pop("a", (1, None, 2)).shape == (1, 7, 2)


def test_what_stands_in_for_a_missing_tensor_swallows_arithmetic():
  with pytest.raises(ValueError, match=r"missing .*: b"), layers.taking({"a": tensor(2)}, {}) as tensors:
    a, b = tensors.pop("a", (2,)), tensors.pop("b", (2,))
    assert (a + b) is b and (b + a) is b and np.concatenate([a, b]) is b and b.reshape(3, -1)[0].T is b


@pytest.mark.parametrize("shape", [(2, 3, 1), (0, 3)])
def test_sizes_are_told_from_tensors_of_the_right_rank(shape):
  assert layers.shape({"a": tensor(2, 3)}, "a", 2) == (2, 3)
  with pytest.raises(ValueError, match=r"a is .* and should have 2 axes"):
    layers.shape({"a": tensor(*shape)}, "a", 2)
  with pytest.raises(ValueError, match=r"^tensors missing \(1\): b$"):
    layers.shape({"a": tensor(*shape)}, "b", 2)


def test_a_stack_has_as_many_layers_as_its_longest_part_and_one_at_least():
  state = {"a.0.x": 1, "b.0.x": 1, "b.1.x": 1}
  assert layers.stack(state, "a", "b") == 2
  with pytest.raises(ValueError, match=r"missing \(1\): c\.\*"):
    layers.stack(state, "c")


def test_problems_of_all_parts_are_told_at_once_with_whole_names():
  problems = layers.Problems()
  with problems.under("one."):
    layers.shape({}, "a", 1)
  with problems.under("two."):
    layers.refuse_left_over({"b": 1})
  with problems.under("three."):
    raise ValueError("odd")
  with problems.under("four."):
    pass
  message = "tensors missing (1): one.a; tensors left over (1): two.b; three.*: odd"
  with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
    problems.tell()


def test_layers_are_counted_by_their_numbers():
  assert layers.count({"a.0.x": 1, "a.1.y": 1, "a.11.x": 1, "ab.2": 1, "a.name": 1}, "a") == 3


def test_many_tensors_that_do_not_fit_are_told_by_their_layers():
  lost = [f"blocks.{i}.{part}.{kind}" for i in range(12) for part in "abc" for kind in ("bias", "weight")]
  text = str(layers.Misfit({"missing": [*lost, "head.weight"], "left over": lost[:2]}))
  told = re.fullmatch(r"tensors missing \(73\): (.*); tensors left over \(2\): (.*)", text).groups()
  assert sorted(told[0].split(", ")) == sorted([*(f"blocks.{i}.* (6)" for i in range(12)), "head.weight"])
  assert told[1] == "blocks.0.a.bias, blocks.0.a.weight", "few are listed by name"
