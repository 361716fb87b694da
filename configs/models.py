"""Sizes of every model, by preset; a stage's config takes the ones it trains."""

import dataclasses

from ml_collections import ConfigDict

from condfoley_jax import clip


def spec(preset: str) -> clip.ClipSpec:
  """The clip's grid."""
  return {"mini": clip.MINI, "paper_gh": clip.PAPER, "paper_countix": clip.PAPER, "large": clip.LARGE}[preset]


def models(preset: str) -> ConfigDict:
  """Every model's config."""
  return ConfigDict({"mini": _mini, "paper_gh": _paper, "paper_countix": _paper, "large": _large}[preset]())


def two_stream(encoder: ConfigDict) -> None:
  """Makes a video encoder one like SpecVQGAN's: frame by frame, colours and optical flow, features twice as wide."""
  encoder.update({"framewise": True, "flow": True, "motion": False})


def clip_config(preset: str) -> ConfigDict:
  """The grid as a config, so that a run can override it."""
  return ConfigDict(dataclasses.asdict(spec(preset)))


def _classifiers(grid: clip.ClipSpec, sizes: dict) -> dict:
  """Classifiers of material (17) and action (2)."""
  return {
    f"{label}_classifier": {"classes": classes, "n_mels": grid.n_mels, **sizes}
    for label, classes in (("material", 17), ("action", 2))
  }


def _mini() -> dict:
  grid = clip.MINI
  encoder = {
    "stem_kernel": 7,
    "stem_stride": 4,
    "stem_mid": 16,
    "widths": (16, 24, 48, 96),
    "blocks": (1,) * 4,
    "motion": True,
  }
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
      "quantizer": {"vocab": 1024, "width": 16, "beta": 0.25, "loss": "correct"},
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
    # One group: the gradient of grouped convolutions is many times slower on a CPU.
    "melgan_discriminator": {"scales": 3, "width": 8, "layers": 3, "factor": 4, "max_width": 32, "group_width": 32},
    **_classifiers(grid, {"widths": ((12,), (48,), (96,), (128,)), "pool": (5, 5), "hidden": 64}),
    "video_encoder": encoder,
    "event_head": {"width": 96},
    "onset_net": {"encoder": encoder, "hidden": 128},
    "sync_net": {"encoder": encoder, "n_mels": grid.n_mels, "mismatch": True},
    "transformer": {
      **_sequence(grid),
      "vocab": 1024,
      "layers": 6,
      "heads": 4,
      "width": 192,
      "feature_width": 96,
      "audio_token": "both",
      "codebook_width": 16,
      "positions": "grid",
      "aligned_frames": True,
      "stand_ins": True,
      **_UNROLLED,
    },
  }


def _paper() -> dict:
  grid = clip.PAPER
  encoder = {
    "stem_kernel": 7,
    "stem_stride": 2,
    "stem_mid": 45,
    "widths": (64, 128, 256, 512),
    "blocks": (2, 2, 2, 2),
  }
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
    "melgan_discriminator": _MELGAN_DISCRIMINATOR,
    **_classifiers(grid, _VGG16),
    "video_encoder": encoder,
    "event_head": {"width": 512},
    "onset_net": {"encoder": encoder, "hidden": 128},
    "sync_net": {"encoder": encoder, "n_mels": grid.n_mels, "audio_width": 256, "width": 128, "mismatch": True},
    "transformer": {
      **_sequence(grid),
      "vocab": 1024,
      "layers": 24,
      "heads": 16,
      "width": 1024,
      "feature_width": 512,
      "audio_token": "learned",
      "positions": "learned",
      **_UNROLLED,
    },
  }


def _large() -> dict:
  """Widths are multiples of 128, a TPU's tile; 4 and 8 divide the transformer's heads, for a mesh to split them."""
  grid = clip.LARGE
  encoder = {
    "stem_kernel": 7,
    "stem_stride": 2,
    "stem_mid": 64,
    "widths": (128, 256, 512, 1024),
    "blocks": (2, 2, 2, 2),
  }
  return {
    "vqgan": {
      "patch": (1, 1),
      "widths": (128, 128, 256, 512, 512),
      "strides": ((2, 2), (2, 3), (2, 1), (2, 1)),
      "encoder_blocks": 2,
      "decoder_blocks": 3,
      "attention_levels": (),
      "mid_attention": False,
      "norm": "channel",
      "z_channels": 256,
      "quantizer": {"vocab": 4096, "width": 128, "beta": 0.25, "loss": "averages"},
    },
    "discriminator": {"width": 128, "layers": 3},
    "istft_vocoder": {
      "n_mels": grid.n_mels,
      "n_fft": grid.n_fft,
      "hop": grid.hop,
      "width": 768,
      "hidden": 2304,
      "layers": 12,
      "kernel": 7,
    },
    "melgan_discriminator": _MELGAN_DISCRIMINATOR,
    **_classifiers(grid, _VGG16 | {"pool": (8, 24), "hidden": 1024}),
    "video_encoder": encoder,
    "event_head": {"width": 1024},
    "onset_net": {"encoder": encoder, "hidden": 256},
    "sync_net": {"encoder": encoder, "n_mels": grid.n_mels, "audio_width": 256, "width": 128, "mismatch": True},
    "transformer": {
      **_sequence(grid),
      "vocab": 4096,
      "layers": 32,
      "heads": 16,
      "width": 2048,
      "feature_width": 1024,
      "audio_token": "learned",
      "positions": "grid",
      "aligned_frames": True,
      "stand_ins": True,
      "scan_layers": True,
      "remat": "dots",
    },
  }


def _sequence(grid: clip.ClipSpec) -> dict:
  """The transformer's lengths."""
  return {"frames": grid.frames, "code_rows": grid.code_rows, "code_columns": grid.code_columns}


# How training computes the transformer's layers; memory is not what it lacks.
_UNROLLED = {"scan_layers": False, "remat": "none"}
# As published.
_VGG16 = {
  "widths": ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3),
  "pool": (5, 10),
  "hidden": 4096,
}
_MELGAN_DISCRIMINATOR = {"scales": 3, "width": 16, "layers": 4, "factor": 4, "max_width": 1024, "group_width": 4}
