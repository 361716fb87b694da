"""Sizes of every model, by preset; a stage's config takes the ones it trains."""

import dataclasses

from ml_collections import ConfigDict

from condfoley_jax import clip


def spec(preset: str) -> clip.ClipSpec:
  """The clip's grid."""
  return {"mini": clip.MINI, "paper_gh": clip.PAPER}[preset]


def models(preset: str) -> ConfigDict:
  """Every model's config."""
  return ConfigDict({"mini": _mini, "paper_gh": _paper}[preset]())


def _mini() -> dict:
  grid = spec("mini")
  return {
    "vqgan": {
      "patch": (5, 2),
      "widths": (40, 80, 128),
      "strides": ((2, 3), (2, 1)),
      "encoder_blocks": 1,
      "decoder_blocks": 1,
      "attention_levels": (),
      "mid_attention": False,
      "norm": "channel",
      "z_channels": 64,
      "quantizer": {"vocab": 512, "width": 16, "beta": 0.25, "loss": "correct"},
    },
    "discriminator": {"width": 20, "layers": 3},
    "istft_vocoder": {
      "n_mels": grid.n_mels,
      "n_fft": grid.n_fft,
      "hop": grid.hop,
      "width": 256,
      "hidden": 768,
      "layers": 8,
      "kernel": 7,
    },
    "video_encoder": {
      "stem_kernel": 7,
      "stem_stride": 4,
      "stem_mid": 16,
      "widths": (16, 24, 48, 96),
      "blocks": (1,) * 4,
    },
    "event_head": {"width": 96},
    "transformer": {
      "frames": grid.frames,
      "code_rows": grid.code_rows,
      "code_columns": grid.code_columns,
      "vocab": 512,
      "layers": 6,
      "heads": 4,
      "width": 192,
      "feature_width": 96,
      "audio_token": "learned",
      "positions": "grid",
      "aligned_frames": True,
    },
  }


def _paper() -> dict:
  grid = spec("paper_gh")
  return {
    "vqgan": {
      "patch": (1, 1),
      "widths": (128, 128, 256, 256, 512),
      "strides": ((2, 2),) * 4,
      "encoder_blocks": 2,
      "decoder_blocks": 3,
      "attention_levels": (4,),
      "mid_attention": True,
      "norm": "group",
      "z_channels": 256,
      "quantizer": {"vocab": 1024, "width": 256, "beta": 0.25, "loss": "published"},
    },
    "discriminator": {"width": 64, "layers": 3},
    "melgan": {"n_mels": grid.n_mels, "width": 32, "residual_layers": 3},
    "video_encoder": {
      "stem_kernel": 7,
      "stem_stride": 2,
      "stem_mid": 45,
      "widths": (64, 128, 256, 512),
      "blocks": (2, 2, 2, 2),
    },
    "event_head": {"width": 512},
    "transformer": {
      "frames": grid.frames,
      "code_rows": grid.code_rows,
      "code_columns": grid.code_columns,
      "vocab": 1024,
      "layers": 24,
      "heads": 16,
      "width": 1024,
      "feature_width": 512,
      "audio_token": "learned",
      "positions": "learned",
    },
  }


def clip_config(preset: str) -> ConfigDict:
  """The grid as a config, so that a run can override it."""
  return ConfigDict(dataclasses.asdict(spec(preset)))
