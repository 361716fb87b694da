"""PyTorch layers under our names compute what they computed there."""

import numpy as np
import pytest

from condfoley_jax.weights.published import layers

RNG = np.random.default_rng(0)


def tensor(*shape):
  return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("ones", [(), (1,), (1, 1)])
def test_linear_layers_and_pointwise_convolutions_are_transposed(ones):
  weight, bias, x = tensor(4, 3), tensor(4), tensor(3)
  state = {"there.weight": weight.reshape(4, 3, *ones), "there.bias": bias}
  params = layers.linear(state, "there", "here")
  np.testing.assert_allclose(x @ params["here/kernel"] + params["here/bias"], weight @ x + bias, rtol=1e-5)
  assert not state


def test_fused_layers_keep_the_order_of_their_sources():
  state = {f"{part}.{kind}": tensor(*shape) for part in "qkv" for kind, shape in (("weight", (2, 3)), ("bias", (2,)))}
  expected = np.concatenate([state[f"{part}.bias"] for part in "qkv"])
  weights = np.concatenate([state[f"{part}.weight"] for part in "qkv"])
  params = layers.fused(state, ["q", "k", "v"], "qkv")
  np.testing.assert_array_equal(params["qkv/bias"], expected)
  np.testing.assert_array_equal(params["qkv/kernel"], weights.T)


def test_convolutions_become_height_width_in_out():
  weight = tensor(5, 4, 3, 2)
  params = layers.conv2d({"there.weight": weight}, "there", "here", bias=False)
  assert params.keys() == {"here/kernel"}
  assert params["here/kernel"].shape == (3, 2, 4, 5) and params["here/kernel"][2, 1, 3, 4] == weight[4, 3, 2, 1]


def test_batch_norm_takes_its_statistics_and_its_counter_is_dropped():
  state = {f"bn.{name}": tensor(2) for name in ("weight", "bias", "running_mean", "running_var")}
  with layers.taking(state | {"bn.num_batches_tracked": np.array(3)}) as tensors:
    params = layers.batch_norm(tensors, "bn", "norm")
  assert params.keys() == {f"norm/{name}" for name in ("scale", "bias", "mean", "var")}
  assert params["norm/mean"] is state["bn.running_mean"] and params["norm/var"] is state["bn.running_var"]


def test_all_that_is_missing_and_left_over_is_listed_in_one_error():
  state = {"q.weight": tensor(2, 3), "k.bias": tensor(2), "spare": tensor(1), "extra": tensor(1)}
  missing = r"tensors missing \(6\): conv.bias, conv.weight, k.weight, norm.bias, norm.weight, q.bias"
  error = missing + r"; tensors left over \(2\): extra, spare"
  with pytest.raises(ValueError, match=error), layers.taking(state) as tensors:
    layers.fused(tensors, ["q", "k"], "qk")
    layers.conv2d(tensors, "conv", "conv")
    layers.norm(tensors, "norm", "norm")


@pytest.mark.parametrize("shape", [(5,), (5, 4, 3)])
def test_a_tensor_of_another_shape_is_named(shape):
  with (
    pytest.raises(ValueError, match=r"tensor conv\.weight of shape \(5"),
    layers.taking({"conv.weight": tensor(*shape)}) as t,
  ):
    layers.conv2d(t, "conv", "conv", bias=False)


def test_what_stands_in_for_a_missing_tensor_swallows_arithmetic():
  with pytest.raises(ValueError, match=r"missing .*: b"), layers.taking({"a": tensor(2)}) as tensors:
    a, b = tensors.pop("a"), tensors.pop("b")
    assert (a + b) is b and (b + a) is b and np.concatenate([a, b]) is b and b.reshape(3, -1)[0].T is b


def test_layers_are_counted_by_their_numbers():
  assert layers.count({"a.0.x": 1, "a.1.y": 1, "a.11.x": 1, "ab.2": 1, "a.name": 1}, "a") == 3
