"""Whether the components of a weights folder were made for each other and for its clip."""

import math
from collections.abc import Mapping
from typing import Any

from flax import nnx

from condfoley_jax.clip import ClipSpec


def misfits(clip: ClipSpec, components: Mapping[str, nnx.Module]) -> str:
  """Every size that two state differently, with what each of them says; empty where all agree.

  Args:
    clip: the grid.
    components: by name; those that `generate` does not use, and those that are not there, say nothing.
  """
  said: dict[str, dict[str, Any]] = {}
  for owner, config in {"clip": clip, **{name: module.config for name, module in components.items()}}.items():
    for size, value in _sizes(owner, config).items():
      said.setdefault(size, {})[owner] = value
  return "; ".join(
    f"{size}: {', '.join(f'{owner} {value}' for owner, value in values.items())}"
    for size, values in said.items()
    if len(set(values.values())) > 1
  )


def _sizes(owner: str, config: Any) -> dict[str, Any]:
  """What a component says of sizes that others have a say in too."""
  match owner:
    case "clip":
      return {
        "frames of a clip": config.frames,
        "codes of a clip": (config.code_rows, config.code_columns),
        "mel bins and frames of a code": (config.mel_per_row, config.mel_per_column),
        "mel bins": config.n_mels,
        "samples of a mel frame": config.hop,
      }
    case "transformer":
      width = {"width of a code": config.codebook_width} if config.audio_token != "learned" else {}
      return width | {
        "frames of a clip": config.frames,
        "codes of a clip": (config.code_rows, config.code_columns),
        "codes in all": config.vocab,
        "width of a frame's features": config.feature_width,
      }
    case "vqgan":
      return {
        "mel bins and frames of a code": config.reduction,
        "codes in all": config.quantizer.vocab,
        "width of a code": config.quantizer.width,
      }
    case "video_encoder":
      return {"width of a frame's features": config.feature_width}
    case "event_head":
      return {"width of a frame's features": config.width}
    case "vocoder":
      hop = math.prod(config.ratios) if hasattr(config, "ratios") else config.hop
      return {"mel bins": config.n_mels, "samples of a mel frame": hop}
  return {}
