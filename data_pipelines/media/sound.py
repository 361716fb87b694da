"""Samples of a span of a video or sound, by time stamps, resampled as they are read."""

import itertools
from collections.abc import Iterator

import av
import numpy as np
import soxr

from data_pipelines import memory
from data_pipelines.errors import InputError
from data_pipelines.media import container
from data_pipelines.media.probe import probe, span_length

# Seeks land this much before the span: codecs need the packets before to get into step.
_PREROLL_S = 1.0
# Of more channels that lie apart PyAV reads where there is no memory.
_MOST_CHANNELS = 8
# Sound on both sides of the span that the resampling filter sees, s.
_MARGIN_S = 0.1
# A span that ends this much after the last sample makes us check that the file is whole.
_SLACK_S = 0.1
# Samples of silence that are made at a time.
_SILENT = 2**20
# Of a sound, float32, that are in memory: what is read, and what a caller makes of it.
_COPIES = 2


def decode_audio(
  path: container.Path,
  sample_rate: int,
  *,
  start_s: float = 0.0,
  duration_s: float | None = None,
  damaged_s: list[float] | None = None,
) -> np.ndarray:
  """Sound of a span, mixed to mono and resampled.

  Args:
    path: an mp4, mov, mkv or webm file, or a wav, aiff, flac, mp3, ogg or aac one.
    sample_rate: samples per second wanted, Hz.
    start_s: start of the span, s after the first picture (the first sample where there is no video).
    duration_s: its length, s; to the end of the video by default.
    damaged_s: where it is given, sound that cannot be decoded is silence, and its times, s, are added to it.

  Returns:
    float32 [N], the mean of the channels, N = round(duration_s * sample_rate). Sample n is the sound at
    start_s + n / sample_rate, silence where the file has none.

  Raises:
    InputError: the file cannot be used, is truncated or has no audio stream, its sample rate changes, no memory holds
      its sound, or its end comes before start_s when duration_s is not given.
    ValueError: start_s is negative or duration_s not positive.
  """
  duration_s = span_length(path, start_s, duration_s, sound_alone=True)
  first, samples = round(_MARGIN_S * sample_rate), round(duration_s * sample_rate)
  _require_room(path, duration_s, samples)
  audio, given, resampler = np.empty(first + samples, np.float32), 0, None
  with container.open_media(path, sound_alone=True) as media:
    container.need_audio(media, path)
    for rate, piece in _pieces(media, path, start_s - _MARGIN_S, duration_s + 2 * _MARGIN_S, damaged_s):
      resampler = resampler or soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")
      given += _put(audio[given:], resampler.resample_chunk(piece))
  _put(audio[given:], resampler.resample_chunk(np.zeros(0, np.float32), last=True))
  return audio[first:]


def _put(audio: np.ndarray, piece: np.ndarray) -> int:
  """Writes what there is room for of a piece at the beginning of `audio`; how much that is."""
  count = min(len(audio), len(piece))
  audio[:count] = piece[:count]
  return count


def _require_room(path: container.Path, duration_s: float, samples: int) -> None:
  needed, there = 4.0 * _COPIES * samples, memory.machine_bytes()
  if needed > there:
    told = f"{duration_s:.0f} s of sound need {needed / 2**30:.0f} GiB of memory"
    raise InputError(f"{path}: {told}, of which there are {there / 2**30:.0f}; cut out a part")


def _pieces(
  media: av.container.InputContainer,
  path: container.Path,
  start_s: float,
  duration_s: float,
  damaged_s: list[float] | None,
) -> Iterator[tuple[int, np.ndarray]]:
  """(rate, mono float32) of a span at the file's own rate, one piece after the other, silence where it has no sound."""
  rate, given, length, end_s = 0, 0, 0, 0.0
  for position_s, block_rate, mono in _blocks(media, path, start_s, damaged_s):
    if rate not in (0, block_rate):
      told = f"its sample rate changes from {rate} to {block_rate} Hz after {end_s:.2f} s"
      raise InputError(f"{path}: {told}; convert it to one rate")
    rate, length, end_s = block_rate, round(duration_s * block_rate) + 1, position_s + mono.size / block_rate
    at = round((position_s - start_s) * rate)
    for piece in itertools.chain(_silence(min(at, length) - given), [mono[max(given - at, 0) : max(length - at, 0)]]):
      yield rate, piece
      given += piece.size
    if given == length:
      return
  if not rate:
    raise container.damaged(path, "no sound can be decoded")
  if end_s < start_s + duration_s - _MARGIN_S - _SLACK_S:
    probe(path, sound_alone=True)
  for piece in _silence(length - given):
    yield rate, piece


def _silence(samples: int) -> Iterator[np.ndarray]:
  for begin in range(0, samples, _SILENT):
    yield np.zeros(min(_SILENT, samples - begin), np.float32)


def _blocks(
  media: av.container.InputContainer, path: container.Path, start_s: float, damaged_s: list[float] | None
) -> Iterator[tuple[float, int, np.ndarray]]:
  """(time, rate, mono samples) of each decoded block, gapless where the time stamps differ by rounding alone."""
  stream = container.need_audio(media, path)
  zero = container.time_zero(media)
  rounding_s = max(0.001, 1.5 * float(stream.time_base))
  if start_s > _PREROLL_S:
    media.seek(int((zero + start_s - _PREROLL_S) / stream.time_base), stream=stream)
  next_s = None
  for frame in container.decoded(media, stream, damaged_s):
    position_s = next_s
    if frame.pts is not None:
      stamped_s = float(frame.pts * frame.time_base - zero)
      if next_s is None or abs(stamped_s - next_s) > rounding_s:
        position_s = stamped_s
    if frame.format.is_planar and frame.layout.nb_channels > _MOST_CHANNELS:
      told = f"has sound of {frame.layout.nb_channels} channels"
      raise InputError(f"{path}: {told}; mix it down to {_MOST_CHANNELS} or fewer")
    mono = _mono(frame)
    if position_s is not None:
      yield position_s, frame.sample_rate, mono
      next_s = position_s + mono.size / frame.sample_rate


def _mono(frame: av.AudioFrame) -> np.ndarray:
  """Mean of the channels, float32 [n] in [-1, 1] but for files of floats; what is no number is silence."""
  samples, channels = frame.to_ndarray(), frame.layout.nb_channels
  if not frame.format.is_planar:
    samples = samples.reshape(-1, channels).T
  if samples.dtype == np.uint8:
    samples = samples.astype(np.float32) / 128 - 1
  elif samples.dtype.kind == "i":
    samples = samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min)
  with np.errstate(over="ignore", invalid="ignore"):
    mean = samples.mean(axis=0, dtype=np.float32)
  return np.nan_to_num(mean, nan=0.0, posinf=0.0, neginf=0.0)
