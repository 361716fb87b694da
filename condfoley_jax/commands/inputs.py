"""What is read of a user's files before takes are made: the query's frames, the example's clip."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from condfoley_jax.clip import ClipSpec
from condfoley_jax.commands.settings import SHORTEST_S
from condfoley_jax.models import sync
from condfoley_jax.sampling import generate as sampler
from condfoley_jax.sampling import long_video
from condfoley_jax.sampling.spans import Span
from data_pipelines import media
from data_pipelines.denoise import denoise
from data_pipelines.errors import InputError

# An example below this peak is silence: 60 dB under full scale.
_SILENT_PEAK = 1e-3
# Frames whose energy is measured at a time.
_AT_ONCE = 4096
# Shorter side of the pictures that SparseSync was trained on, and the part in the middle that it sees, px.
_SPARSE_RESIZE, _SPARSE_SIDE = 256, 224


def query_samples(query: Path, spec: ClipSpec, *, sound: bool) -> int:
  """Samples of sound that the query needs; refuses what cannot be given sound before anything slow is done, and one
  without `sound` of its own that can be read where that is wanted."""
  info = media.probe(query)
  if not info.has_video:
    raise InputError(f"{query}: has no pictures; the query is a video")
  if sound and not info.has_audio:
    raise InputError(f"{query}: has no sound to keep; leave out --keep-original-audio")
  samples = round(info.duration_s * spec.sample_rate)
  if samples < media.FEWEST_SAMPLES:
    shortest_s = media.FEWEST_SAMPLES / spec.sample_rate
    raise InputError(f"{query}: {info.duration_s:.3f} s long; choose a video of {shortest_s:.3f} s or more")
  media.require_copyable(query)
  if sound:
    media.decode_audio(query, spec.sample_rate, damaged_s=[])
  return samples


def read_frames(
  query: Path, spec: ClipSpec, damaged_s: list[float], *, long: Callable[[int], bool]
) -> np.ndarray | long_video.Frames:
  """The query's frames, uint8 [F, S, S, 3]; if it is `long`, by how many they are, they are read as they are needed.

  Times of pictures that are concealed, as they cannot be decoded, are added to `damaged_s` when they are read.

  Raises:
    InputError: they cannot be decoded; of a long one that is told while it is read.
  """
  reader = media.FrameReader(query, spec.fps, spec.frame_resize, resize=spec.frame_filter, damaged_s=damaged_s)
  frames = _Cropped(reader, spec)
  return frames if long(len(frames)) else frames.read(0, len(frames))


class _Cropped:
  """The middle of frames that are read one after the other; see `long_video.Frames`."""

  def __init__(self, frames: long_video.Frames, spec: ClipSpec):
    self._frames, self._spec, self.forget = frames, spec, frames.forget

  def __len__(self) -> int:
    return len(self._frames)

  def read(self, first: int, count: int) -> np.ndarray:
    return _crop(self._frames.read(first, count), self._spec)


def sparse_frames(query: Path) -> np.ndarray:
  """The query as SparseSync sees it, uint8 [T, 224, 224, 3] at 25 Hz."""
  frames = media.decode_frames(query, sync.FPS, _SPARSE_RESIZE, resize="centre", damaged_s=[])
  edge = (_SPARSE_RESIZE - _SPARSE_SIDE) // 2
  return frames[:, edge : edge + _SPARSE_SIDE, edge : edge + _SPARSE_SIDE]


def sparse_section(frames: np.ndarray | None, span: Span, spec: ClipSpec) -> np.ndarray | None:
  """Of a query as SparseSync sees it, what it sees of a stretch."""
  if frames is None:
    return None
  first, end = (round(frame / spec.fps * sync.FPS) for frame in (span.first, span.end))
  return frames[first : max(end, first + 1)]


def read_example(
  path: Path,
  start_s: float | None,
  spec: ClipSpec,
  damaged_s: list[float],
  *,
  clips: int,
  denoised: bool,
  pictures: bool,
) -> tuple[float, sampler.Example]:
  """Where the example starts and its `clips` clips, padded with silence and its last picture where it ends early.

  Args:
    path: a video with sound, or sound alone.
    start_s: where its clips start; None for where the most energy is.
    spec: grid of the clips.
    damaged_s: times of pictures and sound that are concealed are added to it.
    clips: how many, one after another.
    denoised: the noise of the whole sound is removed before clips are cut.
    pictures: the weights need them.

  Raises:
    InputError: unreadable, too short, silent, without sound or pictures that are needed, or no such start.
  """
  info = media.probe(path, sound_alone=True)
  if not info.has_audio:
    raise InputError(f"{path}: has no sound; choose an example that has")
  if pictures and not info.has_video:
    raise InputError(f"{path}: has no pictures, which these weights need; choose a video with sound as example")
  audio = media.decode_audio(path, spec.sample_rate, damaged_s=damaged_s)
  if denoised:
    audio = denoise(audio, spec.sample_rate)
  if start_s is None:
    start_s = _loudest(audio, spec, clips) / spec.fps
  if start_s >= info.duration_s:
    raise InputError(f"{path}: ends at {info.duration_s:.2f} s; choose --example-start before that")
  if info.duration_s - start_s < SHORTEST_S:
    left = f"{info.duration_s - start_s:.2f} s of sound from {start_s:.2f} s on"
    raise InputError(f"{path}: {left}; an example has {SHORTEST_S:g} s or more, better {spec.seconds:g} s")
  first = round(start_s * spec.sample_rate)
  samples = spec.example_samples + (clips - 1) * spec.samples
  clip = fitted(audio[first : first + samples], samples)
  if np.abs(clip).max() < _SILENT_PEAK:
    raise InputError(f"{path}: silent from {start_s:.2f} s on; choose another example or --example-start")
  if not info.has_video:
    return start_s, sampler.Example(None, clip)
  span = {"start_s": start_s, "duration_s": clips * spec.seconds, "damaged_s": damaged_s}
  frames = media.decode_frames(path, spec.fps, spec.frame_resize, resize=spec.frame_filter, **span)
  return start_s, sampler.Example(_crop(frames, spec), clip)


def _loudest(audio: np.ndarray, spec: ClipSpec, clips: int) -> int:
  """First frame of the `clips` clips with the most energy."""
  per_frame = audio[: len(audio) // spec.samples_per_frame * spec.samples_per_frame].reshape(-1, spec.samples_per_frame)
  # In float64 a part at a time: the sound may be of hours.
  parts = [per_frame[first : first + _AT_ONCE] for first in range(0, len(per_frame), _AT_ONCE)]
  total = np.cumsum(np.concatenate([[0.0], *(np.sum(part.astype(np.float64) ** 2, 1) for part in parts)]))
  frames = clips * spec.frames
  if len(total) <= frames:
    return 0
  return int(np.argmax(total[frames:] - total[:-frames]))


def _crop(frames: np.ndarray, spec: ClipSpec) -> np.ndarray:
  offset = (spec.frame_resize - spec.frame_size) // 2
  return frames[:, offset : offset + spec.frame_size, offset : offset + spec.frame_size]


def fitted(audio: np.ndarray, samples: int) -> np.ndarray:
  """Cut, or padded with silence, to `samples`; where it is cut it is not copied."""
  return audio[:samples] if len(audio) >= samples else np.pad(audio, (0, samples - len(audio)))
