"""A stretch of a take made anew: it goes on from the sound before it, and sees the pictures as the whole did."""

import jax
import jax.numpy as jnp
import numpy as np

from condfoley_jax.clip import ClipSpec
from condfoley_jax.conventions import Conventions
from condfoley_jax.sampling import long_video, program, windows
from condfoley_jax.sampling.generate import Example, Generator
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.sampling.long_video import Frames, Stretch
from condfoley_jax.sampling.windows import Window

# Clips before the stretch that codec and vocoder hear; the sampler goes on from half a clip.
_BEFORE = 2


def remake(
  generator: Generator,
  frames: Frames,
  example: Example,
  sampling: Sampling,
  seed: int,
  sound: np.ndarray,
  span: tuple[int, int],
) -> np.ndarray:
  """Sound of samples `span` of a take, first and past the last, made anew: float32 [last - first].

  What begins within the first half of a clip goes on from nothing, as the take did.

  Args:
    generator: of weights whose windows slide.
    frames: of the query, or of the stretch of it that has an example of its own; read from any on.
    example: what the take sounds like.
    sampling: how codes are drawn.
    seed: of what is drawn.
    sound: float32 [N], the take's for these frames, at the level of the example.
    span: inside it.

  Raises:
    FloatingPointError: the weights overflow.
  """
  spec, conventions = generator.spec, generator.conventions
  per_column = spec.samples_per_column
  delay, columns = windows.delay(spec, conventions), windows.columns_of(len(frames), spec, conventions)
  at, end = max(span[0] - delay, 0) // per_column, min(-(-(span[1] - delay) // per_column), columns)
  at = at if at >= windows.steps(spec).hop else 0
  before = _codes_before(generator, example, sound, at) if at else _nothing(spec)
  made, fade, start = np.zeros((1, span[1] - span[0]), np.float32), long_video.fade_samples(spec), at
  while at < end:
    stretch, new = _stretch(before, frames, at, end, columns, spec)
    found = generator.make_stretch(example, [seed], stretch, sampling)
    audio, first = np.asarray(found.audio[:1]), delay + int(stretch.column) * per_column
    if not np.isfinite(audio).all():
      raise FloatingPointError("sound that is no number")
    # Of all but the last stretch the sound of its last clip is left to the next one, which hears what follows.
    begin, joins = max(span[0], delay + start * per_column), start < at
    at, start = at + new, at + new - spec.code_columns
    stop = span[1] if at >= end else delay + start * per_column + fade
    long_video.lay(made, begin - span[0], audio[:, begin - first : stop - first], fade if joins else 0)
    grids = np.asarray(found.grids)[None, :, :, : stretch.before.shape[3] + new]
    before = grids[..., -_BEFORE * spec.code_columns :]
  return made[0]


def _nothing(spec: ClipSpec) -> np.ndarray:
  return np.zeros((1, 1, spec.code_rows, 0), np.int32)


def _codes_before(generator: Generator, example: Example, sound: np.ndarray, at: int) -> np.ndarray:
  """Codes int32 [1, 1, R, K] of the columns before `at`, silence before the take's beginning included."""
  spec, conventions = generator.spec, generator.conventions
  # Of clips the models may read less than there is, from as long after their beginning on as columns begin late
  # (`windows.delay`): what is cut begins where the first column would without that.
  first, length = (at - _BEFORE * spec.code_columns) * spec.samples_per_column, _BEFORE * spec.example_samples
  heard = np.pad(sound[max(first, 0) : first + length], (max(-first, 0), 0))
  heard = np.pad(heard, (0, length - len(heard))).astype(np.float32)
  codes = _encode(generator.parts["vqgan"], heard[None], example.audio[None], spec=spec, conventions=conventions)
  return np.asarray(codes)[None]


def _encode_as(vqgan, sound: jax.Array, example: jax.Array, *, spec: ClipSpec, conventions: Conventions) -> jax.Array:
  """Codes [1, R, K] of sound at the level that the example is read at."""
  _, gain = program.levelled(example, conventions)
  return vqgan.encode(program.mel_of(jnp.clip(sound * gain, -1, 1), spec, conventions))


_encode = jax.jit(_encode_as, static_argnames=("spec", "conventions"))


def _stretch(
  before: np.ndarray, frames: Frames, at: int, end: int, columns: int, spec: ClipSpec
) -> tuple[Stretch, int]:
  """Windows that make columns from `at` to `end`, as far as one stretch reaches, and how many columns they make.

  Of more columns than are made, as there is room for, it sounds as after the end of a query: the last codes go on.
  """
  hop, known, first_new = windows.steps(spec)
  held = before.shape[3]
  # The first of a take goes on from nothing, and makes more.
  more = 0 if held else first_new - hop
  count = min(max(-(-(end - at - more) // hop), 1), 2 * long_video.CLIPS)
  starts = np.arange(count) * hop + (held - known if held else 0)
  # A power of two, so that few sizes are compiled; two at least, as the first of a take is a loop of its own.
  room = max(1 << (count - 1).bit_length(), 2)
  starts = np.pad(starts, (0, room - count), mode="edge").astype(np.int32)
  first = at - held
  seen = np.round((first + starts) * spec.column_seconds * spec.fps).astype(np.int32)
  zeros = np.zeros(room, np.int32)
  table = Window(starts, zeros, zeros, seen - seen[0], zeros, zeros)
  size = int(np.ceil((room - 1) * hop * spec.column_seconds * spec.fps)) + 1 + spec.frames
  shown = frames.read(int(seen[0]), size)
  number = (first + int(starts[0])) // hop
  new = more + count * hop
  numbers = (number, number + count, first, min(columns, at + new))
  return Stretch(before, shown[None], table, *(np.int32(x) for x in numbers)), new
