"""Published VQGAN and PatchGAN weights in our names and shapes."""

from condfoley_jax.models.discriminator import Discriminator, DiscriminatorConfig
from condfoley_jax.models.quantizer import QuantizerConfig
from condfoley_jax.models.vqgan import VQGAN, VQGANConfig
from condfoley_jax.weights.published import layers
from condfoley_jax.weights.published.layers import State, Tensors


def config_from_torch(state: State) -> VQGANConfig:
  """Sizes that the tensors tell; published VQGANs halve both axes between levels and take groups of 32 channels.

  Raises:
    ValueError: a tensor that tells one is missing or has another number of axes.
  """
  levels = range(layers.stack(state, "encoder.down"))
  vocab, width = layers.shape(state, "quantize.embedding.weight", 2)
  return VQGANConfig(
    patch=(1, 1),
    widths=tuple(layers.shape(state, f"encoder.down.{i}.block.0.conv1.weight", 4)[0] for i in levels),
    strides=((2, 2),) * (len(levels) - 1),
    encoder_blocks=layers.stack(state, *(f"encoder.down.{i}.block" for i in levels)),
    decoder_blocks=layers.stack(state, *(f"decoder.up.{i}.block" for i in levels)),
    attention_levels=tuple(i for i in levels if _holds(state, f"encoder.down.{i}.attn.", f"decoder.up.{i}.attn.")),
    mid_attention=_holds(state, "encoder.mid.attn_1.", "decoder.mid.attn_1."),
    norm="group",
    z_channels=layers.shape(state, "encoder.conv_out.weight", 4)[0],
    quantizer=QuantizerConfig(vocab=vocab, width=width, loss="published"),
  )


def _holds(state: State, *prefixes: str) -> bool:
  return any(name.startswith(prefixes) for name in state)


def discriminator_config_from_torch(state: State) -> DiscriminatorConfig:
  """Sizes of the PatchGAN that the tensors tell; raises likewise."""
  # The first and the last convolution, and a convolution and its norm for each layer; one of these may be missing.
  norms = (layers.stack(state, "main") + 1) // 2 - 1
  if norms < 1:
    raise ValueError("no strided layers of a PatchGAN")
  return DiscriminatorConfig(width=layers.shape(state, "main.0.weight", 4)[0], layers=norms)


def params_from_torch(state: State, config: VQGANConfig) -> State:
  """Maps the PyTorch tensors of the encoder, quantiser and decoder to our flat parameters.

  Args:
    state: tensors by name, without those of the loss and of the mel front end.
    config: gives the number of levels and blocks and where attention is.

  Raises:
    ValueError: lists the tensors that are missing, of another shape, or left over.
  """
  with layers.taking(state, layers.shapes_of(VQGAN, config)) as state:
    params = {
      "quantizer/codebook": state.pop_same("quantize.embedding.weight", "quantizer/codebook"),
      **layers.conv2d(state, "quant_conv", "quant_conv"),
      **layers.conv2d(state, "post_quant_conv", "post_quant_conv"),
      **_ends(state, "encoder", config),
      **_ends(state, "decoder", config),
    }
    for i in range(len(config.widths)):
      attention = i in config.attention_levels
      params |= _level(state, f"encoder.down.{i}", f"encoder/levels/{i}", config.encoder_blocks, attention)
      params |= _level(state, f"decoder.up.{i}", f"decoder/levels/{i}", config.decoder_blocks, attention)
    # Both sides are stored finest level first; each of our `ups` leads to the level of its own index.
    for i in range(len(config.strides)):
      params |= layers.conv2d(state, f"encoder.down.{i}.downsample.conv", f"encoder/downs/{i}/conv")
      params |= layers.conv2d(state, f"decoder.up.{i + 1}.upsample.conv", f"decoder/ups/{i}/conv")
  return params


def discriminator_params_from_torch(state: State, config: DiscriminatorConfig) -> State:
  """Maps the PyTorch tensors of the PatchGAN (keys relative to it), with its batch statistics; raises likewise."""
  with layers.taking(state, layers.shapes_of(Discriminator, config)) as state:
    params = layers.conv2d(state, "main.0", "conv_in")
    for i in range(config.layers):
      # Convolution, norm and activation of each layer follow the first convolution and its activation.
      params |= layers.conv2d(state, f"main.{2 + 3 * i}", f"convs/{i}")
      params |= layers.batch_norm(state, f"main.{3 + 3 * i}", f"norms/{i}")
    params |= layers.conv2d(state, f"main.{2 + 3 * config.layers}", "conv_out")
  return params


def _ends(state: Tensors, side: str, config: VQGANConfig) -> State:
  """First and last layers of the encoder or the decoder, and its coarsest blocks."""
  params = {
    **layers.conv2d(state, f"{side}.conv_in", f"{side}/conv_in"),
    **_block(state, f"{side}.mid.block_1", f"{side}/mid/block_1"),
    **_block(state, f"{side}.mid.block_2", f"{side}/mid/block_2"),
    **layers.norm(state, f"{side}.norm_out", f"{side}/norm_out"),
    **layers.conv2d(state, f"{side}.conv_out", f"{side}/conv_out"),
  }
  if config.mid_attention:
    params |= _attention(state, f"{side}.mid.attn_1", f"{side}/mid/attention")
  return params


def _level(state: Tensors, source: str, target: str, blocks: int, attention: bool) -> State:
  params = {}
  for i in range(blocks):
    params |= _block(state, f"{source}.block.{i}", f"{target}/blocks/{i}")
    if attention:
      params |= _attention(state, f"{source}.attn.{i}", f"{target}/attentions/{i}")
  return params


def _block(state: Tensors, source: str, target: str) -> State:
  params = {}
  for i in (1, 2):
    params |= layers.norm(state, f"{source}.norm{i}", f"{target}/norm_{i}")
    params |= layers.conv2d(state, f"{source}.conv{i}", f"{target}/conv_{i}")
  if f"{target}/shortcut/kernel" in state.shapes:
    params |= layers.conv2d(state, f"{source}.nin_shortcut", f"{target}/shortcut")
  return params


def _attention(state: Tensors, source: str, target: str) -> State:
  return {
    **layers.norm(state, f"{source}.norm", f"{target}/norm"),
    **layers.fused(state, [f"{source}.{part}" for part in "qkv"], f"{target}/qkv"),
    **layers.linear(state, f"{source}.proj_out", f"{target}/out"),
  }
