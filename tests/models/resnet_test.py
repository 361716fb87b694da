import pytest

from condfoley_jax.models.resnet import ResNetConfig
from condfoley_jax.models.video_encoder import VideoEncoderConfig


@pytest.mark.parametrize("config", [ResNetConfig, VideoEncoderConfig])
def test_every_layer_needs_a_width_and_a_number_of_blocks(config):
  assert config(widths=(4, 8), blocks=(1, 2)).feature_width == 8
  with pytest.raises(ValueError, match="2 widths and 3 numbers of blocks"):
    config(widths=(4, 8), blocks=(1, 1, 1))
