"""What the configs of all stages share."""

import dataclasses

from ml_collections import ConfigDict

from condfoley_jax.conventions import OURS
from configs import models

PRESETS = ("mini", "paper_gh")


def parse(arg: str | None) -> tuple[str, bool]:
  """`mini`, `mini,runlocal` -> (preset, whether to shrink the run to a few steps).

  Raises:
    ValueError: unknown preset or option.
  """
  preset, *options = (arg or "mini").split(",")
  preset = {"paper": "paper_gh"}.get(preset, preset)
  if preset not in PRESETS:
    raise ValueError(f"no preset `{preset}`; there are {', '.join(PRESETS)}")
  if unknown := set(options) - {"runlocal"}:
    raise ValueError(f"no option `{unknown.pop()}`; there is runlocal")
  return preset, "runlocal" in options


def base(stage: str, preset: str, parts: tuple[str, ...]) -> ConfigDict:
  """Config of a stage that trains `parts`; the stage's own file sets steps, optimisers and what else it needs."""
  sizes = models.models(preset)
  config = ConfigDict()
  config.stage = stage
  config.preset = preset
  config.seed = 0
  config.dtype = "float32"
  config.clip = models.clip_config(preset)
  config.conventions = ConfigDict(dataclasses.asdict(OURS))
  config.model = ConfigDict({part: sizes[part] for part in parts})
  config.data = ConfigDict(
    {"train": "out/data/train", "validation": "out/data/val", "mode": "uniform", "overlap": False}
  )
  config.every = ConfigDict({"log": 25, "evaluate": 250, "checkpoint": 250})
  config.evaluate_batches = 4
  config.gain_db = (-12.0, 6.0)
  return config


def shrink(config: ConfigDict) -> ConfigDict:
  """A run of a few steps on small batches, to see that it runs."""
  config.steps = 8
  config.batch_size = 2
  config.every = ConfigDict({"log": 1, "evaluate": 8, "checkpoint": 4})
  config.evaluate_batches = 1
  return config
