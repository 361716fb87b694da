"""What the configs of all stages share."""

import ast
import dataclasses

from ml_collections import ConfigDict

from condfoley_jax.augmentation import picture
from condfoley_jax.augmentation.sound import SoundAugmentation
from condfoley_jax.conventions import OURS
from configs import models, sharding

PRESETS = ("mini", "paper_gh", "paper_countix", "large")
# Less of everything than published: what a stick hits must stay in the picture.
_PICTURE = picture.PictureAugmentation((0.8, 1.0), 1.1, True, 0.3, 0.3, 0.3, 0.05)


def parse(arg: str | None, options: tuple[str, ...] = ()) -> tuple[str, set[str]]:
  """`mini`, `mini,runlocal,steps=20` -> (preset, the options chosen).

  Every config has `runlocal`, which shrinks the run to a few steps, and `key=value`, which changes one of its values;
  `options` are those that a config has besides. `finish` does what the first two ask for.

  Raises:
    ValueError: unknown preset or option.
  """
  preset, *chosen = (arg or "mini").split(",")
  preset = {"paper": "paper_gh"}.get(preset, preset)
  if preset not in PRESETS:
    raise ValueError(f"no preset `{preset}`; there are {', '.join(PRESETS)}")
  named = {word for word in chosen if "=" not in word}
  if unknown := named - {"runlocal", *options}:
    raise ValueError(f"no option `{unknown.pop()}`; there are {', '.join(('runlocal', *options))}, and key=value")
  return preset, set(chosen)


def finish(config: ConfigDict, options: set[str]) -> ConfigDict:
  """The config as the options that `parse` gives want it.

  Raises:
    ValueError: an option names a key that is not there, or a value of another type.
  """
  config = shrink(config) if "runlocal" in options else config
  config.lock()
  for word in sorted(word for word in options if "=" in word):
    key, _, text = word.partition("=")
    try:
      config.update_from_flattened_dict({key: _literal(text)})
    except (KeyError, AttributeError, TypeError) as error:
      raise ValueError(f"`{word}`: no such key of the config, or a value of another type") from error
  return config.unlock()


def _literal(text: str) -> object:
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError):
    return text  # A word stands for itself.


def base(stage: str, preset: str, parts: tuple[str, ...]) -> ConfigDict:
  """Config of a stage that trains `parts`; the stage's own file sets steps, optimisers and what else it needs."""
  sizes = models.models(preset)
  config = ConfigDict()
  config.stage = stage
  config.preset = preset
  config.seed = 0
  # Of the computation alone: parameters, losses and sums stay in float32. On a CPU bfloat16 is slower.
  config.dtype = "float32" if preset == "mini" else "bfloat16"
  config.clip = models.clip_config(preset)
  config.conventions = ConfigDict(dataclasses.asdict(OURS))
  config.model = ConfigDict({part: sizes[part] for part in parts})
  config.data = ConfigDict(
    {"train": "out/data/train", "validation": "out/data/val", "mode": "uniform", "overlap": False, "at_event": 0.0}
  )
  config.every = ConfigDict({"log": 25, "evaluate": 250, "checkpoint": 250})
  config.evaluate_batches = 4
  # How devices are used: see condfoley_jax.sharding. -1 stands for all that are left.
  config.mesh = ConfigDict({"data": -1, "fsdp": 1, "tensor": 1})
  config.sharding = sharding.RULES
  # Parts that a batch is read in, one after the other.
  config.accumulate = 1
  # Decay of the running means of the parameters, which are then what is scored and kept; 0 keeps none.
  config.ema = 0.0
  # `SCORE:min` or `SCORE:max`: of which step the weights are; empty for the last.
  config.keep_best = ""
  # Steps in a row that may change nothing, their loss or gradient not being finite, before the run goes back.
  config.skip_at_most = 10
  config.sound = ConfigDict(dataclasses.asdict(SoundAugmentation(gain_db=(-12.0, 6.0))))
  config.picture = ConfigDict(dataclasses.asdict(picture.PUBLISHED if preset.startswith("paper") else _PICTURE))
  return config


def shrink(config: ConfigDict) -> ConfigDict:
  """A run of a few steps on small batches, to see that it runs."""
  config.steps = 8
  config.batch_size = 2
  config.every = ConfigDict({"log": 1, "evaluate": 8, "checkpoint": 4})
  config.evaluate_batches = 1
  for optimizer in config.optimizers.values():
    # A run shorter than its warm-up would hardly move.
    optimizer.warmup_steps = min(optimizer.get("warmup_steps", 0), 2)
  return config
