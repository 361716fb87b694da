"""Synchronisation network: how much later the sound is than the picture; takes are ranked by it.

mini:          condfoley train --config configs/sync.py:mini --workdir out/ranker --config.seed=1 \\
                   --config.pretrained.video_encoder=out/video_encoder/weights
               12 minutes on 2 CPU cores, on 1,248 videos; of 64 windows for validation 97 % are told to 50 ms, and 95 %
               have more confidence than the same window with a mistake. It ranks takes in
               `condfoley_jax/weights/mini/`.
               The judge in `condfoley_jax/weights/judges/sync/` was made without mistakes, with seed 0, AdamW at 2e-3,
               no trained encoder and 624 videos, in 20 minutes on 2 shared cores: 81 % to 50 ms, median error 12 ms;
               of 60 whole clips of the test split 97 % are told to be in time to 33 ms, and 98 % to be late by 0.2 s
               when they are.
paper_gh:      our network at the size of R(2+1)D-18, for the authors' grid; never run. What the authors ranked with is
               SparseSync's checkpoint, which `condfoley convert --kind sparsesync` takes; it is not trained here.
paper_countix: the same on Countix-AV; never run.
large:         at the size of the large video encoder; never run.
"""

from ml_collections import ConfigDict, config_dict

from configs import common


def get_config(arg: str | None = None) -> ConfigDict:
  """Presets: mini, paper_gh, paper_countix, large; add `,runlocal` for a few steps, `,key=value` to change a value."""
  preset, options = common.parse(arg)
  config = common.base("sync", preset, ("sync_net",))
  config.keep_best = "loss:min"
  config.sound.noise_db = (-75.0, -50.0)
  # Where there is one, the network's begins with it.
  config.pretrained = ConfigDict({"video_encoder": config_dict.placeholder(str)})
  # Share of the sounds that get a mistake, where the network tells those.
  config.mismatched = 0.5
  recipes = {"mini": _mini, "paper_gh": _paper, "paper_countix": _paper, "large": _large}
  config.update(recipes[preset]())
  return common.finish(config, options)


def _mini() -> ConfigDict:
  muon = {"method": "muon", "learning_rate": 8e-3, "warmup_steps": 100, "schedule": "cosine", "weight_decay": 0.01}
  optimizers = {"sync_net": muon | {"clip_norm": 1.0}}
  return ConfigDict({"steps": 1200, "batch_size": 16, "data": {"at_event": 0.25}, "optimizers": optimizers})


def _paper() -> ConfigDict:
  adam = {"learning_rate": 3e-4, "warmup_steps": 1000, "schedule": "cosine", "weight_decay": 0.01, "clip_norm": 1.0}
  return ConfigDict({"steps": 50_000, "batch_size": 32, "optimizers": {"sync_net": adam}})


def _large() -> ConfigDict:
  config = _paper()
  config.batch_size = 256
  return config
