"""A stretch of a take made anew: it goes on from the sound before it, and sees the pictures as the whole did."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from condfoley_jax.clip import ClipSpec
from condfoley_jax.conventions import Conventions
from condfoley_jax.sampling import long_video, program, windows
from condfoley_jax.sampling.generate import Example, Generator
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.sampling.long_video import Frames, Stretch
from condfoley_jax.sampling.rerank import Sync
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
    frames: of the query, none of which was read.
    example: what the take sounds like.
    sampling: how codes are drawn.
    seed: of what is drawn.
    sound: float32 [N], the take at the level of the example.
    span: inside it.

  Raises:
    FloatingPointError: the weights overflow.
  """
  spec, conventions = generator.spec, generator.conventions
  per_column = spec.samples_per_column
  delay, columns = windows.delay(spec, conventions), windows.columns_of(len(frames), spec, conventions)
  at, end = max(span[0] - delay, 0) // per_column, min(-(-(span[1] - delay) // per_column), columns)
  at = at if at >= windows.steps(spec).hop else 0
  before = _codes_before(generator, example, sound, at * per_column) if at else _nothing(spec)
  made = np.zeros(span[1] - span[0], np.float32)
  while at < end:
    stretch, new = _stretch(before, frames, at, end, columns, spec)
    found = generator.make_stretch(example, [seed], stretch, sampling)
    audio, first = np.asarray(found.audio[0]), delay + int(stretch.column) * per_column
    if not np.isfinite(audio).all():
      raise FloatingPointError("sound that is no number")
    # What was heard before is there already; of the first stretch it is what the take had.
    begin, stop = max(span[0], delay + at * per_column), min(span[1], first + len(audio))
    made[begin - span[0] : stop - span[0]] = audio[begin - first : stop - first]
    at += new
    grids = np.asarray(found.grids)[None, :, :, : stretch.before.shape[3] + new]
    before = grids[..., -_BEFORE * spec.code_columns :]
  return made


def rescored(
  generator: Generator, frames: Frames, seen: np.ndarray, sound: np.ndarray, segments: Sequence[tuple[int, int]]
) -> list[Sync]:
  """Sync of a take, float32 [N], in neighbouring `segments` of the query's (`rerank.segments`).

  Args:
    generator: of the weights.
    frames: of the query, none of which was read.
    seen: [F], onset probability per frame, by which takes are scored where no network does.
    sound, segments: the take, and where.
  """
  found: list[Sync] = []
  for first in range(0, len(segments), long_video.CLIPS):
    some = segments[first : first + long_video.CLIPS]
    syncs = generator.score(frames, seen, sound[None], some)
    found += [Sync(float(offset), float(sure)) for offset, sure in zip(*(x[0] for x in syncs), strict=True)]
  return found


def _nothing(spec: ClipSpec) -> np.ndarray:
  return np.zeros((1, 1, spec.code_rows, 0), np.int32)


def _codes_before(generator: Generator, example: Example, sound: np.ndarray, sample: int) -> np.ndarray:
  """Codes int32 [1, 1, R, K] of the clips that end at `sample`, silence before the take's beginning included."""
  spec, conventions = generator.spec, generator.conventions
  length = _BEFORE * spec.samples
  heard = sound[max(sample - length, 0) : sample]
  heard = np.pad(heard, (length - len(heard), 0)).astype(np.float32)
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
  """Windows that make columns from `at` to `end`, as far as one stretch reaches, and how many columns they make."""
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
  numbers = (number, number + count, first, columns)
  return Stretch(before, shown[None], table, *(np.int32(x) for x in numbers)), more + count * hop
