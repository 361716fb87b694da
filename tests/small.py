"""The components of `mini` weights, small enough to test, on the same grid of codes."""

from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.weights import registry
from configs.models import models
from tests.fill import filled

PARTS = ("vqgan", "video_encoder", "event_head", "transformer", "sync_net")


def parts(*, but: tuple[str, ...] = ()) -> dict[str, nnx.Module]:
  """A vocoder and all `PARTS` but those named, by name, with weights that differ from zero."""
  sizes = models("mini").to_dict()
  sizes["transformer"] |= {"layers": 1, "width": 32, "heads": 2, "feature_width": 16}
  sizes["video_encoder"] |= {"widths": (8, 16), "blocks": (1, 1)}
  sizes["event_head"] |= {"width": 16}
  sizes["vqgan"] |= {"patch": (20, 6), "widths": (16,), "strides": (), "z_channels": 16}
  sizes["istft_vocoder"] |= {"layers": 1, "width": 32, "hidden": 32}
  sizes["sync_net"]["encoder"] |= {"widths": (8, 16), "blocks": (1, 1)}
  kinds = {"vocoder": "istft_vocoder"} | {name: name for name in PARTS if name not in but}
  build = lambda: nnx.Dict({n: registry.build(kind, sizes[kind], rngs=Keys(0)) for n, kind in kinds.items()})
  return dict(filled(build, scale=0.1))
