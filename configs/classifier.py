"""Classifiers of material and action on mel: judges of what is generated, and features for LPAPS.

mini:          condfoley train --config configs/classifier.py:mini --workdir out/classifier
               25 minutes on 2 CPU cores, on 1,248 videos; of 89 clips of 68 the action is right in all, the
               material (of 17) in 73 %. Shipped as `condfoley_jax/weights/judges/classifier/`. Noise at -70 dBFS
               changes what it hears in 1 % of clips, 3 dB in 3 %. The judge before, trained on half of the videos
               without noise and masks, by AdamW, had 43 %, 10 % and 8 %.
paper_gh:      VGGish-ish as published: from the convolutions of the VGGSound classifier, where
               --config.pretrained.vggishish names its weights folder, 20 epochs of the clips of one material and action
               (20,482); never run.
paper_countix: the same; Countix-AV has no such labels.
large:         the same on 44.1 kHz; never run.
"""

from ml_collections import ConfigDict, config_dict

from condfoley_jax.weights.published.vggsound_statistics import DEVIATIONS, MEANS
from configs import common


def get_config(arg: str | None = None) -> ConfigDict:
  """Presets: mini, paper_gh, paper_countix, large; add `,runlocal` for a few steps, `,key=value` to change a value."""
  preset, options = common.parse(arg)
  config = common.base("classifier", preset, ("material_classifier", "action_classifier"))
  config.keep_best = "loss:min"
  config.pretrained = ConfigDict({"vggishish": config_dict.placeholder(str)})
  recipes = {"mini": _mini, "paper_gh": _paper, "paper_countix": _paper, "large": _large}
  config.update(recipes[preset]())
  return common.finish(config, options)


def _mini() -> ConfigDict:
  muon = {
    "learning_rate": 3e-3,
    "warmup_steps": 50,
    "schedule": "cosine",
    "weight_decay": 0.01,
    "clip_norm": 1.0,
    "method": "muon",
  }
  return ConfigDict(
    {
      "steps": 2000,
      "batch_size": 32,
      "standardise": {"mean": (-0.5,), "deviation": (0.4,)},
      "optimizers": {"material_classifier": muon, "action_classifier": muon},
      # So that it does not mind what nobody hears.
      "sound": {"speed": 0.03, "noise_db": (-100.0, -45.0), "mask_frames": 20, "mask_bins": 8},
    }
  )


def _paper() -> ConfigDict:
  adam = {"learning_rate": 1e-4, "b1": 0.9, "b2": 0.999, "weight_decay": 1e-4, "decay": "l2"}
  return ConfigDict(
    {
      "steps": 12_800,
      "batch_size": 32,
      # Numbers meant for mels in [0, 1], on mels in [-1, 1]: as published.
      "standardise": {"mean": tuple(map(float, MEANS)), "deviation": tuple(map(float, DEVIATIONS))},
      "optimizers": {"material_classifier": adam, "action_classifier": adam},
      "sound": {"gain_db": (0.0, 0.0)},
      "conventions": {"level": "rms", "vocoder_mel": "htk"},
    }
  )


def _large() -> ConfigDict:
  config = _mini()
  config.steps = 20_000
  config.batch_size = 256
  for optimizer in config.optimizers.values():
    optimizer.update({"learning_rate": 2e-4, "warmup_steps": 1000})
  return config
