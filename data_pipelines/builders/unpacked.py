"""Pictures and sound in files of their own: what the published code unpacks videos to before it trains."""

import pathlib
from collections.abc import Iterable
from typing import Literal

import cv2
import numpy as np
import soundfile
import soxr

from condfoley_jax import clip
from data_pipelines.errors import InputError
from data_pipelines.media.decode import bicubic

# Pictures of a second in such a folder (Du et al. 2023, preprocessing).
PICTURES_PER_SECOND = clip.PAPER.fps


def find_folders(folder: pathlib.Path) -> list[pathlib.Path]:
  """Folders in `folder` that hold the pictures of a video, `<video>/frames`: the videos' folders, sorted."""
  return sorted(p for p in folder.iterdir() if (p / "frames").is_dir())


def first_file(paths: Iterable[pathlib.Path]) -> pathlib.Path | None:
  """The first of `paths` that is a file."""
  return next((p for p in paths if p.is_file()), None)


def list_pictures(folder: pathlib.Path) -> list[pathlib.Path]:
  """The pictures `frame000001.jpg`, `frame000002.jpg`, ... of a folder, in order.

  Raises:
    InputError: there are none, or one between the first and the last is missing.
  """
  names = {p.name for p in folder.glob("frame*.jpg")}
  pictures = [folder / f"frame{k:06d}.jpg" for k in range(1, len(names) + 1)]
  if not pictures:
    raise InputError(f"{folder}: no frame000001.jpg in it; unpack the video again")
  for picture in pictures:
    if picture.name not in names:
      raise InputError(f"{picture}: missing, later pictures are there; unpack the video again")
  return pictures


def read_pictures(folder: pathlib.Path, fps: int, size: int, *, resize: Literal["area", "bicubic"]) -> np.ndarray:
  """Pictures of a folder, PICTURES_PER_SECOND of them a second, resampled and resized (aspect ratio ignored).

  Args:
    folder: holds `frame000001.jpg`, `frame000002.jpg`, ...
    fps: frames per second wanted.
    size: side of the frames, px.
    resize: the filter.

  Returns:
    uint8 [T, size, size, 3] RGB, T = max(1, round(pictures / PICTURES_PER_SECOND * fps)).

  Raises:
    InputError: there are no pictures, one is missing or cannot be read.
  """
  pictures = list_pictures(folder)
  count = max(1, round(len(pictures) / PICTURES_PER_SECOND * fps))
  shown = ((np.arange(count) + 0.5) / fps * PICTURES_PER_SECOND).astype(int).clip(max=len(pictures) - 1)
  return np.stack([_small(_read(pictures[k]), size, resize) for k in shown])


def read_sound(path: pathlib.Path, sample_rate: int, samples: int) -> np.ndarray:
  """Sound of a wav or flac file, mixed to mono and resampled.

  Args:
    path: the file.
    sample_rate: wanted, Hz.
    samples: how many are wanted; the file may lack up to a second, which is then silence.

  Returns:
    float32 [samples].

  Raises:
    InputError: the file is missing, empty, no sound or too short.
  """
  if not path.is_file():
    raise InputError(f"{path}: no such file; check that the data set is complete")
  try:
    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
  except (soundfile.SoundFileError, OSError) as e:
    raise InputError(f"{path}: cannot be read as sound; give a wav or flac file") from e
  if not sound.size:
    raise InputError(f"{path}: no sound in it; check that the data set is complete")
  mono = sound.mean(axis=1, dtype=np.float32)
  resampled = soxr.resample(mono, rate, sample_rate, quality="HQ")[:samples] if rate != sample_rate else mono[:samples]
  if samples - len(resampled) > sample_rate:
    lengths = f"{len(resampled) / sample_rate:.1f} s of sound to {samples / sample_rate:.1f} s of pictures"
    raise InputError(f"{path}: {lengths}; check that the data set is complete")
  return np.pad(resampled, (0, samples - len(resampled)))


def _read(path: pathlib.Path) -> np.ndarray:
  """uint8 [H, W, 3] RGB."""
  picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR_RGB) if path.stat().st_size else None
  if picture is None:
    raise InputError(f"{path}: is no JPEG; unpack the video again")
  return picture


def _small(picture: np.ndarray, size: int, resize: str) -> np.ndarray:
  if resize == "bicubic":
    return bicubic(picture, size)
  return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
