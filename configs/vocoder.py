"""Vocoder: the light inverse-STFT one of mini and large, MelGAN of paper.

mini:          condfoley train --config configs/vocoder.py:mini --workdir out/vocoder
               22 minutes on 2 CPU cores beside another training, without discriminators; validation loss 1.18, of which
               mel L1 0.195.
paper_gh:      MelGAN and its recipe as published (there on VGGSound, up to 3000 epochs, the best by mel L1); never run.
paper_countix: the same.
large:         44.1 kHz; for a TPU slice, never run.
"""

from ml_collections import ConfigDict, config_dict

from configs import common


def get_config(arg: str | None = None) -> ConfigDict:
  """Presets: mini, paper_gh, paper_countix, large; add `,runlocal` for a few steps, `,key=value` to change a value."""
  preset, options = common.parse(arg)
  kind = "melgan" if preset.startswith("paper") else "istft_vocoder"
  config = common.base("vocoder", preset, (kind, "melgan_discriminator"))
  config.vocoder = kind
  config.keep_best = "mel:min"
  # Range of each clip's loudest sample; where there is none, clips are made louder or softer by `sound.gain_db`.
  config.peaks = config_dict.placeholder(tuple)
  recipes = {"mini": _mini, "paper_gh": _paper, "paper_countix": _paper, "large": _large}
  config.update(recipes[preset]())
  return common.finish(config, options)


def _mini() -> ConfigDict:
  return ConfigDict(
    {
      "steps": 3000,
      "batch_size": 16,
      "crop_frames": 60,
      "spectral_weight": 1.0,
      "adversarial_weight": 0.1,
      # Never: what the spectral distances ask for takes the whole run, and discriminators cost as much again.
      "discriminator_start": 3000,
      "optimizers": {
        "vocoder": {"learning_rate": 1e-3, "warmup_steps": 100, "schedule": "cosine", "b1": 0.8, "clip_norm": 1.0},
        "discriminator": {"learning_rate": 2e-4, "b1": 0.5, "b2": 0.9},
      },
    }
  )


def _paper() -> ConfigDict:
  adam = {"learning_rate": 1e-4, "b1": 0.5, "b2": 0.9}
  return ConfigDict(
    {
      "steps": 1_000_000,
      "batch_size": 64,
      # 8192 samples.
      "crop_frames": 32,
      "peaks": (0.95 * 0.3, 0.95),
      "spectral_weight": 0.0,
      "adversarial_weight": 1.0,
      "discriminator_start": 0,
      "optimizers": {"vocoder": adam, "discriminator": adam},
      "conventions": {"level": "as_is", "vocoder_mel": "htk"},
    }
  )


def _large() -> ConfigDict:
  adam = {"learning_rate": 2e-4, "warmup_steps": 2000, "schedule": "cosine", "b1": 0.8, "b2": 0.99, "clip_norm": 1.0}
  return ConfigDict(
    {
      "steps": 500_000,
      "batch_size": 256,
      "crop_frames": 90,
      "spectral_weight": 1.0,
      "adversarial_weight": 0.1,
      "discriminator_start": 20_000,
      "optimizers": {"vocoder": adam, "discriminator": adam},
    }
  )
