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


def test_a_missing_bias_is_an_error():
  with pytest.raises(KeyError, match=r"there\.bias"):
    layers.conv2d({"there.weight": tensor(5, 4, 3, 2)}, "there", "here")


def test_batch_norm_takes_its_statistics_and_leaves_the_counter_to_be_dropped():
  state = {f"bn.{name}": tensor(2) for name in ("weight", "bias", "running_mean", "running_var")}
  state["bn.num_batches_tracked"] = np.array(3)
  kept = layers.without_counters(state)
  params = layers.batch_norm(kept, "bn", "norm")
  assert params.keys() == {f"norm/{name}" for name in ("scale", "bias", "mean", "var")}
  assert params["norm/mean"] is state["bn.running_mean"] and params["norm/var"] is state["bn.running_var"]
  layers.refuse_left_over(kept)


def test_what_is_left_over_is_named():
  with pytest.raises(ValueError, match="left over: a, b"):
    layers.refuse_left_over({"b": tensor(1), "a": tensor(1)})
