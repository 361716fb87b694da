"""The onset network at its published size, and one logit per frame."""

import jax
import numpy as np
from flax import nnx

from condfoley_jax import config_tree
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.onset_net import OnsetNet, OnsetNetConfig
from configs import models
from tests.fill import filled


def test_published_size():
  config = config_tree.from_dict(OnsetNetConfig, models.models("paper_gh").onset_net.to_dict())
  model = nnx.eval_shape(lambda: OnsetNet(config, rngs=Keys(0)))
  sizes = {
    name: sum(x.size for x in jax.tree.leaves(nnx.state(getattr(model, name), nnx.Param)))
    for name in ("encoder", "hidden", "out")
  }
  assert sizes == {"encoder": 31_300_125, "hidden": 512 * 128 + 128, "out": 129}


def test_one_logit_per_frame():
  encoder = {"stem_kernel": 3, "stem_stride": 4, "stem_mid": 2, "widths": (2, 4), "blocks": (1, 1)}
  config = config_tree.from_dict(OnsetNetConfig, {"encoder": encoder, "hidden": 3})
  model = filled(lambda: OnsetNet(config, rngs=Keys(0)))
  frames = np.random.default_rng(0).standard_normal((2, 5, 8, 8, 3)).astype(np.float32)
  logits = nnx.jit(lambda model, x: model(x, use_running_average=True))(model, frames)
  assert logits.shape == (2, 5) and logits.dtype == np.float32 and np.ptp(logits) > 0
