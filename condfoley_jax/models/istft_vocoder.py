"""The light vocoder of `mini`: a network at the mel's frame rate that writes an STFT, inverted once at the end.

After Siuzdak, Vocos (ICLR 2024): embedding, ConvNeXt blocks in one dimension, magnitude and phase heads. All the
network's work is at hop rate, about 90 times below MelGAN's per second of sound.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from condfoley_jax.audio import stft
from condfoley_jax.models.keys import Keys
from condfoley_jax.shapes import Audio_BxN, Mel_BxFxM

# exp(5) is the magnitude of a full-scale sine under a 1024-sample Hann window within 5 dB.
_MAX_LOG_MAGNITUDE = 5.0


@dataclasses.dataclass(frozen=True)
class IstftVocoderConfig:
  """Sizes of the vocoder.

  Attributes:
    n_mels: mel bins read.
    n_fft, hop: of the STFT written, samples; the hop is the mel's.
    width: channels between blocks.
    hidden: channels inside a block.
    layers: ConvNeXt blocks.
    kernel: mel frames that each depthwise convolution and the embedding see, odd.
  """

  n_mels: int = 80
  n_fft: int = 1024
  hop: int = 245
  width: int = 256
  hidden: int = 768
  layers: int = 8
  kernel: int = 7


class IstftVocoder(nnx.Module):
  """Mel [B, F, M] float32 in [-1, 1] to audio [B, M * hop] float32, unclipped."""

  def __init__(self, config: IstftVocoderConfig, *, dtype: jnp.dtype = jnp.float32, rngs: Keys):
    self.config = config
    self.embed = nnx.Conv(config.n_mels, config.width, (config.kernel,), dtype=dtype, rngs=rngs)
    self.embed_norm = nnx.LayerNorm(config.width, dtype=jnp.float32, rngs=rngs)
    self.blocks = nnx.List([ConvNextBlock(config, dtype=dtype, rngs=rngs) for _ in range(config.layers)])
    self.norm = nnx.LayerNorm(config.width, dtype=jnp.float32, rngs=rngs)
    bins = config.n_fft // 2 + 1
    # In bfloat16 a phase would be one of few.
    exact = {"dtype": dtype, "preferred_element_type": jnp.float32}
    self.head = nnx.Linear(config.width, 2 * bins, kernel_init=_init, **exact, rngs=rngs)

  def __call__(self, mel_BxFxM: Mel_BxFxM) -> Audio_BxN:
    return stft.istft(self.spectrum(mel_BxFxM), hop=self.config.hop, padding="same")

  def spectrum(self, mel_BxFxM: Mel_BxFxM) -> jax.Array:
    """The STFT before inversion, complex64 [B, M, n_fft // 2 + 1]."""
    x = self.embed_norm(self.embed(mel_BxFxM.swapaxes(1, 2)))
    for block in self.blocks:
      x = block(x)
    log_magnitude, phase = jnp.split(self.head(self.norm(x)), 2, axis=-1)
    magnitude = jnp.exp(jnp.minimum(log_magnitude, _MAX_LOG_MAGNITUDE))
    return jax.lax.complex(magnitude * jnp.cos(phase), magnitude * jnp.sin(phase))


class ConvNextBlock(nnx.Module):
  """x + scale * pointwise(GELU(pointwise(LayerNorm(depthwise(x))))) for x [B, M, width]."""

  def __init__(self, config: IstftVocoderConfig, *, dtype: jnp.dtype, rngs: Keys):
    self.depthwise = DepthwiseConv(config.width, config.kernel, dtype=dtype, rngs=rngs)
    self.norm = nnx.LayerNorm(config.width, dtype=jnp.float32, rngs=rngs)
    self.expand = nnx.Linear(config.width, config.hidden, dtype=dtype, kernel_init=_init, rngs=rngs)
    self.contract = nnx.Linear(config.hidden, config.width, dtype=dtype, kernel_init=_init, rngs=rngs)
    self.scale = nnx.Param(jnp.full((config.width,), 1 / config.layers))
    self.dtype = dtype

  def __call__(self, x_BxMxD: jax.Array) -> jax.Array:
    y = self.norm(self.depthwise(x_BxMxD))
    y = self.contract(nnx.gelu(self.expand(y)))
    return x_BxMxD + (self.scale[...] * y).astype(x_BxMxD.dtype)


class DepthwiseConv(nnx.Module):
  """Convolution of each channel of x [B, M, D] with its own kernel, zero-padded to keep M.

  Written as shifted products and sums: XLA's grouped convolution is many times slower on CPU.
  """

  def __init__(self, width: int, kernel: int, *, dtype: jnp.dtype, rngs: Keys):
    self.kernel = nnx.Param(_init(rngs.params(), (kernel, width)))
    self.bias = nnx.Param(jnp.zeros((width,)))
    self.dtype = dtype

  def __call__(self, x_BxMxD: jax.Array) -> jax.Array:
    kernel, bias = self.kernel[...].astype(self.dtype), self.bias[...].astype(self.dtype)
    taps, count = kernel.shape[0], x_BxMxD.shape[1]
    x = jnp.pad(x_BxMxD.astype(self.dtype), ((0, 0), (taps // 2, taps // 2), (0, 0)))
    return sum(x[:, i : i + count] * kernel[i] for i in range(taps)) + bias


_init = nnx.initializers.truncated_normal(0.02)
