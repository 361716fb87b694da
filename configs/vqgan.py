"""Mel VQGAN.

mini:          condfoley train --config configs/vqgan.py:mini --workdir out/vqgan \\
                   --config.pretrained.lpaps=out/classifier/weights
               38 minutes on 2 CPU cores; validation L1 0.053, LPAPS 0.10, perplexity 630 of 1024. The classifier is
               `configs/classifier.py:mini` with --config.seed=1, another than the judge; that of the shipped VQGAN was
               of the recipe before, of 12 minutes.
paper_gh:      the authors' sizes and recipe, which allows up to 5000 epochs of Greatest Hits (5.2 M steps); never run.
paper_countix: the same network on Countix-AV, 12,000 epochs of 25 steps; never run.
large:         44.1 kHz, 8 x 78 codes of 4096 for 5.2 s; for a TPU slice, never run.

LPAPS joins in where --config.pretrained.lpaps names a weights folder that holds `lpaps` (the published network,
converted) or `material_classifier` (our own, from configs/classifier.py).
"""

from ml_collections import ConfigDict, config_dict

from configs import common


def get_config(arg: str | None = None) -> ConfigDict:
  """Presets: mini, paper_gh, paper_countix, large; add `,runlocal` for a few steps, `,key=value` to change a value."""
  preset, options = common.parse(arg)
  config = common.base("vqgan", preset, ("vqgan", "discriminator"))
  config.pretrained = ConfigDict({"lpaps": config_dict.placeholder(str)})
  config.keep_best = "reconstruction:min"
  config.lpaps_weight = 1.0
  # Range of the factor that evens out the gradients of reconstruction and discriminator: as published, none.
  config.adaptive_weight = (1.0, 1.0)
  recipes = {"mini": _mini, "paper_gh": _paper, "paper_countix": _paper_countix, "large": _large}
  config.update(recipes[preset]())
  return common.finish(config, options)


def _mini() -> ConfigDict:
  return ConfigDict(
    {
      "steps": 3500,
      "batch_size": 16,
      "optimizers": {
        "vqgan": {"learning_rate": 1e-3, "warmup_steps": 100, "schedule": "cosine", "b1": 0.9, "clip_norm": 1.0},
        "discriminator": {"learning_rate": 2e-4, "b1": 0.5, "b2": 0.9},
      },
      # Never: in a run this short it did harm (from step 900 to 1000 validation L1 rose and perplexity fell by half).
      "discriminator_start": 3500,
      "discriminator_weight": 0.02,
      "restart_below": 0.1,
    }
  )


def _paper() -> ConfigDict:
  adam = {"learning_rate": 1.44e-4, "b1": 0.5, "b2": 0.9}
  return ConfigDict(
    {
      "steps": 500_000,
      "batch_size": 32,
      "optimizers": {"vqgan": adam, "discriminator": adam},
      "discriminator_start": 30_001,
      "discriminator_weight": 0.8,
      "restart_below": 0.0,
      "sound": {"gain_db": (0.0, 0.0)},
      "conventions": {"level": "as_is", "vocoder_mel": "htk"},
    }
  )


def _paper_countix() -> ConfigDict:
  config = _paper()
  config.steps = 300_000
  config.conventions.denoise = True
  return config


def _large() -> ConfigDict:
  adam = {"learning_rate": 2e-4, "warmup_steps": 2000, "schedule": "cosine", "b1": 0.5, "b2": 0.9, "clip_norm": 1.0}
  return ConfigDict(
    {
      "steps": 200_000,
      "batch_size": 256,
      "optimizers": {"vqgan": adam, "discriminator": adam},
      "discriminator_start": 20_000,
      "discriminator_weight": 0.8,
      "adaptive_weight": (0.0, 1.0),
      "restart_below": 0.1,
    }
  )
