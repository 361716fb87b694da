"""Every module's numerics at a tiny size, so that a clone without the published vectors tests them too.

The stored numbers are our own, made when each module had just been found equal to the published one. To make them anew,
after a change that is meant to change them: `python -m tests.own.cases`.
"""

import dataclasses
import functools
import zlib
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from condfoley_jax.audio import mel
from condfoley_jax.audio.onsets import onset_strength
from condfoley_jax.audio.resample import resample
from condfoley_jax.audio.sync_spectrogram import sync_spectrogram
from condfoley_jax.clip import MINI, PAPER
from condfoley_jax.models.classifier import VGGishish, VGGishishConfig
from condfoley_jax.models.discriminator import Discriminator, DiscriminatorConfig
from condfoley_jax.models.istft_vocoder import IstftVocoder, IstftVocoderConfig
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.lpaps import LPAPS, LPAPSConfig
from condfoley_jax.models.melgan import MelGAN, MelGANConfig, MelGANDiscriminator, MelGANDiscriminatorConfig
from condfoley_jax.models.quantizer import QuantizerConfig
from condfoley_jax.models.sequence import TransformerConfig
from condfoley_jax.models.sync import SparseSync
from condfoley_jax.models.transformer import Transformer
from condfoley_jax.models.video_encoder import EventHead, EventHeadConfig, VideoEncoder, VideoEncoderConfig
from condfoley_jax.models.vqgan import VQGAN, VQGANConfig
from condfoley_jax.sampling.decode_loop import sample_codes
from condfoley_jax.sampling.logits import Sampling
from data_pipelines.denoise import denoise
from data_pipelines.media.decode import bicubic
from tests.models import tiny

STORED = Path(__file__).parent / "vectors.npz"
Arrays = dict[str, np.ndarray]

_PUBLISHED_VQGAN = VQGANConfig(
  patch=(1, 1),
  widths=(32, 64),
  strides=((2, 2),),
  encoder_blocks=1,
  decoder_blocks=2,
  attention_levels=(1,),
  mid_attention=True,
  norm="group",
  z_channels=6,
  quantizer=QuantizerConfig(vocab=9, width=4, loss="published"),
)
_MINI_VQGAN = dataclasses.replace(
  _PUBLISHED_VQGAN, patch=(5, 2), widths=(6, 8), strides=((2, 3),), attention_levels=(), norm="channel"
)
_TRANSFORMER = TransformerConfig(
  frames=4, code_rows=2, code_columns=4, vocab=11, layers=2, heads=2, width=16, feature_width=6, codebook_width=5
)
_ENCODER = VideoEncoderConfig(stem_kernel=3, stem_stride=2, stem_mid=4, widths=(4, 8), blocks=(2, 1))
SAMPLE = jax.jit(sample_codes, static_argnames="count")


def rnd(name: str, *shape: int) -> np.ndarray:
  """Standard normal numbers of that name, float32."""
  return np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)


def formula(build: Callable[[], nnx.Module]) -> nnx.Module:
  """What `build` makes, with weights that depend on their names and shapes alone."""
  graph, state = nnx.split(nnx.eval_shape(build))

  def fill(path, x):
    keys = [str(getattr(k, "key", getattr(k, "idx", getattr(k, "name", k)))) for k in path]
    keys = [key for key in keys if key != "value"]
    n, last = rnd("/".join(keys), *x.shape), keys[-1]
    if last in ("var", "scale", "gain", "deviation"):
      return jnp.asarray(1 + 0.1 * np.abs(n))
    if last == "codebook":
      return jnp.asarray(n)
    return jnp.asarray(n / np.sqrt(np.prod(x.shape[:-1])) if len(x.shape) > 1 else 0.1 * n)

  return nnx.merge(graph, jax.tree_util.tree_map_with_path(fill, state))


def mel_front_end() -> Arrays:
  audio = 0.3 * np.tanh(rnd("audio", 1, 4410))
  slaney = dataclasses.replace(PAPER, mel_scale="slaney")
  htk = mel.log_mel(audio, PAPER)
  return {
    "mini": mel.log_mel(audio, MINI),
    "htk": htk,
    "slaney": mel.log_mel(audio, slaney),
    "rms": mel.log_mel(mel.rms_normalise(audio), PAPER),
    "rescaled": mel.rescale_mel(htk, PAPER, "slaney"),
  }


def host_audio() -> Arrays:
  audio = (0.01 * rnd("noise", 22050)).astype(np.float32)
  audio[9000:9400] += 0.5 * rnd("click", 400)
  return {"denoised": denoise(audio, 22050)[8000:10000], "onset strength": onset_strength(audio, 22050, 15)}


def pictures() -> Arrays:
  return {"bicubic": bicubic(np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8), 16)}


def vqgan(config: VQGANConfig) -> Arrays:
  model = formula(lambda: VQGAN(config, rngs=Keys(0)))
  picture = np.tanh(rnd("mel", 2, 20, 24))
  codes = np.arange(np.prod(model.encode(picture).shape), dtype=np.int32) % config.quantizer.vocab
  quantized = model.quantizer(model.latent(picture))
  return {
    "latent": model.latent(picture),
    "codes": quantized.codes,
    "loss": quantized.loss,
    "decoded": model.decode(codes.reshape(quantized.codes.shape)),
  }


def discriminators() -> Arrays:
  patch = formula(lambda: Discriminator(DiscriminatorConfig(width=4, layers=2), rngs=Keys(0)))
  running = nnx.clone(patch)
  running.set_attributes(nnx.BatchNorm, use_running_average=True)
  picture = np.tanh(rnd("mel", 2, 32, 32))
  config = MelGANDiscriminatorConfig(scales=2, width=4, layers=2, max_width=16)
  waves = formula(lambda: MelGANDiscriminator(config, rngs=Keys(0)))
  return {
    "patch by running statistics": running(picture),
    "patch by the batch's": patch(picture),
    "waves": jnp.concatenate([s[-1].ravel() for s in waves(np.tanh(rnd("wave", 1, 512)))]),
  }


def video_encoder() -> Arrays:
  frames = rnd("frames", 2, 5, 16, 16, 3)
  build = lambda: formula(lambda: VideoEncoder(_ENCODER, rngs=Keys(0)))
  features = build()(frames, use_running_average=True)
  events = formula(lambda: EventHead(EventHeadConfig(width=8), rngs=Keys(0)))(features)
  return {
    "running": features,
    "batch": build()(frames, use_running_average=False),
    "onset": events.onset,
    "offset": events.offset,
    "material": events.material,
  }


def transformer(**changes) -> Arrays:
  config = dataclasses.replace(_TRANSFORMER, **changes)
  model = formula(lambda: Transformer(config, rngs=Keys(0)))
  condition, query = rnd("condition", 2, 4, 6), rnd("query", 2, 4, 6)
  codes = jnp.asarray(np.random.default_rng(0).integers(0, config.vocab, (2, 2 * config.codes - 1)), jnp.int32)
  keys = jax.random.split(jax.random.key(0), 2)[:, None]
  # One take of each of two jobs.
  given = (model, condition, query, codes[:, : config.codes], codes[:, None, :0], keys)
  sampled = lambda sampling: SAMPLE(*given, sampling, count=config.codes)[:, 0]
  return {
    "logits": model(condition, query, codes),
    "greedy": sampled(Sampling(temperature=0.0)),
    "sampled": sampled(Sampling(top_k=5, top_p=0.9)),
  }


def vocoders() -> Arrays:
  picture = np.tanh(rnd("mel", 1, 8, 12))
  melgan = MelGANConfig(n_mels=8, width=2, residual_layers=2, ratios=(4, 2))
  istft = IstftVocoderConfig(n_mels=8, n_fft=64, hop=20, width=8, hidden=12, layers=2, kernel=3)
  return {
    "melgan": formula(lambda: MelGAN(melgan, rngs=Keys(0)))(picture),
    "istft": formula(lambda: IstftVocoder(istft, rngs=Keys(0)))(picture),
  }


def perceptual() -> Arrays:
  a, b = np.tanh(rnd("a", 2, 16, 20)), np.tanh(rnd("b", 2, 16, 20))
  widths = ((4, 4), (6,), (8, 8))
  classifier = VGGishishConfig(classes=3, n_mels=16, widths=widths, pool=(2, 3), hidden=10)
  return {
    "vggishish": formula(lambda: VGGishish(classifier, rngs=Keys(0)))(a),
    "lpaps": formula(lambda: LPAPS(LPAPSConfig(n_mels=16, widths=widths), rngs=Keys(0)))(a, b),
  }


def sync() -> Arrays:
  model = formula(lambda: SparseSync(tiny.SYNC, rngs=Keys(0)))
  audio = 0.3 * np.tanh(rnd("audio", 1, 4410))
  return {
    "seen": model.see(rnd("frames", 2, 8, 16, 32, 3)),
    "heard": model.hear(rnd("spectrogram", 2, 16, 24)),
    "logits": model(rnd("frames", 2, 8, 16, 32, 3), rnd("spectrogram", 2, 16, 24)),
    "resampled": resample(audio, 22050, 16000),
    "spectrogram": sync_spectrogram(audio)[:, ::16, :40],
  }


CASES: dict[str, Callable[[], Arrays]] = {
  "mel": mel_front_end,
  "host audio": host_audio,
  "pictures": pictures,
  "published vqgan": functools.partial(vqgan, _PUBLISHED_VQGAN),
  "mini vqgan": functools.partial(vqgan, _MINI_VQGAN),
  "discriminators": discriminators,
  "video encoder": video_encoder,
  "published transformer": transformer,
  "mini transformer": functools.partial(transformer, positions="grid", aligned_frames=True),
  "codebook transformer": functools.partial(transformer, audio_token="codebook"),
  "vocoders": vocoders,
  "perceptual": perceptual,
  "sync": sync,
}


# All others are one compiled program each: call by call they would take five times as long.
_ON_HOST = (host_audio, pictures)


def arrays(case: str) -> Arrays:
  """What a case computes, by name."""
  made = CASES[case]() if CASES[case] in _ON_HOST else jax.jit(CASES[case])()
  return {f"{case}: {name}": np.asarray(x) for name, x in made.items()}


if __name__ == "__main__":
  np.savez_compressed(STORED, **{name: x for case in CASES for name, x in arrays(case).items()})
