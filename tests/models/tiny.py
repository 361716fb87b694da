"""Configs of models that are small enough to test."""

from condfoley_jax.models.resnet import ResNetConfig
from condfoley_jax.models.s3d import S3DConfig
from condfoley_jax.models.sync import SparseSyncConfig

SYNC = SparseSyncConfig(
  video=S3DConfig(stem_kernel=3, stem=4, second=6, stages=(((4, 4, 6, 4, 4, 4),), ((6, 4, 8, 4, 4, 6),)), pools=(3,)),
  audio=ResNetConfig(stem_kernel=3, widths=(4, 8), blocks=(1, 1)),
  width=8,
  layers=1,
  heads=2,
  selectors=3,
  video_grid=(2, 1, 2),
  audio_grid=(2, 3),
  classes=5,
)
