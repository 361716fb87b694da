"""Vocoder: the light inverse-STFT one of mini.

mini: condfoley train --config configs/vocoder.py:mini --workdir out/vocoder
      30 minutes on one shared CPU core; validation loss 1.40. Griffin-Lim from the same mels is closer to the sound
      (1.19 against 1.62 on six clips), and slower: this vocoder wants a longer run.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str | None = None) -> ConfigDict:
  """Preset: mini; add `,runlocal` for a few steps."""
  preset, options = common.parse(arg)
  config = common.base("vocoder", preset, ({"mini": "istft_vocoder", "paper_gh": "melgan"}[preset],))
  config.vocoder = {"mini": "istft_vocoder", "paper_gh": "melgan"}[preset]
  config.steps = 2000
  config.batch_size = 16
  config.crop_frames = 60
  config.optimizers = ConfigDict(
    {
      "vocoder": {"learning_rate": 1e-3, "warmup_steps": 100, "schedule": "cosine", "b1": 0.8, "clip_norm": 1.0},
    }
  )
  return common.shrink(config) if "runlocal" in options else config
