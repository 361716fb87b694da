"""Onset network: which frames of a silent video sound; the onset-transfer baseline (paper supp.).

mini:          condfoley train --config configs/onset.py:mini --workdir out/onset
               Not run to its end yet.
paper_gh:      R(2+1)D-18 and a perceptron as published, 100 epochs of 32,752 clips in batches of 12, from onsets heard
               in the sound; never run.
paper_countix: the same on Countix-AV; never run.
large:         at the size of the large video encoder, from labelled events; never run.
"""

from ml_collections import ConfigDict

from configs import common

# Frames of 128 px cropped to 112, not resized.
_CROPPED = {
  "area": ((112 / 128) ** 2, (112 / 128) ** 2),
  "aspect": 1.0,
  "flip": False,
  "brightness": 0.1,
  "contrast": 0.1,
  "saturation": 0.0,
  "hue": 0.0,
}


def get_config(arg: str | None = None) -> ConfigDict:
  """Presets: mini, paper_gh, paper_countix, large; add `,runlocal` for a few steps, `,key=value` to change a value."""
  preset, options = common.parse(arg)
  config = common.base("onset", preset, ("onset_net",))
  config.keep_best = "average_precision:max"
  # The labelled events (`events`), or what is heard in the sound (`audio`).
  config.labels = "audio" if preset.startswith("paper") else "events"
  recipes = {"mini": _mini, "paper_gh": _paper, "paper_countix": _paper_countix, "large": _large}
  config.update(recipes[preset]())
  return common.finish(config, options)


def _mini() -> ConfigDict:
  adam = {"learning_rate": 2e-3, "warmup_steps": 100, "schedule": "cosine", "weight_decay": 0.01, "clip_norm": 1.0}
  return ConfigDict({"steps": 1200, "batch_size": 12, "optimizers": {"onset_net": adam}})


def _paper() -> ConfigDict:
  adam = {"learning_rate": 1e-4, "schedule": "cosine", "b1": 0.9, "b2": 0.999, "weight_decay": 5e-4, "decay": "l2"}
  return ConfigDict(
    {
      "steps": 272_900,
      "batch_size": 12,
      "optimizers": {"onset_net": adam},
      "picture": _CROPPED,
      # As published: the encoder is never out of its training mode.
      "conventions": {"bn_mode": "batch"},
    }
  )


def _paper_countix() -> ConfigDict:
  config = _paper()
  config.steps = 6_600
  config.conventions.denoise = True
  return config


def _large() -> ConfigDict:
  config = _mini()
  config.steps = 20_000
  config.batch_size = 256
  config.optimizers.onset_net.update({"learning_rate": 5e-4, "warmup_steps": 1000})
  return config
