"""The published MelGAN's tensors under our names."""

import re

from condfoley_jax.models.melgan import MelGAN, MelGANConfig, MelGANDiscriminator, MelGANDiscriminatorConfig
from condfoley_jax.weights.published import layers
from condfoley_jax.weights.published.layers import Shapes, State

_PLAIN = re.compile(r"model\.([0-9]+)\.(weight_v|weight_g|bias)")
_RESIDUAL = re.compile(r"model\.([0-9]+)\.(block|shortcut)\..+")
# PyTorch [C', C, taps] to ours [taps, C, C'], and transposed convolution [C, C', taps] to [C, taps, C']; and back.
_CONV, _UPSAMPLE = (2, 1, 0), (0, 2, 1)


def config_from_torch(state: State) -> MelGANConfig:
  """Sizes that the tensors tell.

  Raises:
    ValueError: no upsampling stage or no residual block is there, or a convolution's direction is missing.
  """
  convolutions, residuals = _indices(state, _PLAIN), _indices(state, _RESIDUAL)
  if len(convolutions) < 3:
    raise ValueError("no upsampling stage, so this is no MelGAN generator")
  _, *upsamples, last = [f"model.{i}.weight_v" for i in convolutions]
  # Rounded: one that is missing is then told as missing.
  residual_layers = round(len(residuals) / len(upsamples))
  if not residual_layers:
    raise ValueError("no residual blocks, so this is no MelGAN generator")
  return MelGANConfig(
    n_mels=layers.shape(state, "model.1.weight_v", 3)[1],
    width=layers.shape(state, last, 3)[1],
    residual_layers=residual_layers,
    # An upsampling by r is a transposed convolution of 2 r taps.
    ratios=tuple(layers.shape(state, name, 3)[2] // 2 for name in upsamples),
  )


def _indices(state: State, pattern: re.Pattern) -> list[int]:
  return sorted({int(m[1]) for name in state if (m := pattern.fullmatch(name))})


def params_from_torch(state: State, config: MelGANConfig) -> State:
  """Weights of `MelGAN(config)` from the state dict of the published generator.

  Raises:
    ValueError: lists the tensors that are missing, of another shape, or left over.
  """
  stride = 2 + config.residual_layers
  sources = {"first": ("model.1", _CONV), "last": (f"model.{4 + stride * len(config.ratios)}", _CONV)}
  for i in range(len(config.ratios)):
    upsample = 3 + stride * i
    sources[f"stages/{i}/upsample"] = (f"model.{upsample}", _UPSAMPLE)
    for j in range(config.residual_layers):
      for ours, theirs in (("dilated", "block.2"), ("pointwise", "block.4"), ("shortcut", "shortcut")):
        sources[f"stages/{i}/residuals/{j}/{ours}"] = (f"model.{upsample + 1 + j}.{theirs}", _CONV)
  return _convert(state, sources, layers.shapes_of(MelGAN, config))


def discriminator_params_from_torch(state: State, config: MelGANDiscriminatorConfig) -> State:
  """Weights of `MelGANDiscriminator(config)`, likewise."""
  sources = {}
  for i in range(config.scales):
    parts = ["first", *(f"strided/{j}" for j in range(config.layers)), "wide", "score"]
    suffixes = [".1", *[".0"] * (config.layers + 1), ""]
    for j, (ours, suffix) in enumerate(zip(parts, suffixes, strict=True)):
      sources[f"scales/{i}/{ours}"] = (f"model.disc_{i}.model.layer_{j}{suffix}", _CONV)
  return _convert(state, sources, layers.shapes_of(MelGANDiscriminator, config))


def _convert(state: State, sources: dict[str, tuple[str, tuple[int, int, int]]], shapes: Shapes) -> State:
  params = {}
  with layers.taking(state, shapes) as state:
    for ours, (theirs, axes) in sources.items():
      shape = [shapes[f"{ours}/kernel"][axis] for axis in axes]
      params[f"{ours}/kernel"] = state.pop(f"{theirs}.weight_v", shape).transpose(axes)
      params[f"{ours}/gain"] = state.pop(f"{theirs}.weight_g", (*shapes[f"{ours}/gain"], 1, 1)).reshape(-1)
      params[f"{ours}/bias"] = state.pop_same(f"{theirs}.bias", f"{ours}/bias")
  return params
