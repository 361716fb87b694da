"""Small folders that mimic the layouts of the public data sets, and the published annotations."""

import json
import pathlib

import cv2
import numpy as np
import pytest
import soundfile

from tests.data_pipelines.media import making

_ANNOTATIONS = pathlib.Path(__file__).resolve().parents[4] / "shared" / "annotations"
TIMES = "0.500000 wood hit static\n1.250000 None None None\n"


def annotations() -> pathlib.Path:
  """The published annotations outside the checkout; skips the calling test where there are none."""
  if not _ANNOTATIONS.is_dir():
    pytest.skip(f"no annotations in {_ANNOTATIONS}")
  return _ANNOTATIONS


def video(path: pathlib.Path, seconds: float = 2.2, *, silent: bool = False) -> pathlib.Path:
  """A video of numbered pictures at 15 fps with a tone of level 0.25."""
  path.parent.mkdir(parents=True, exist_ok=True)
  times_s = making.constant(15, round(seconds * 15))
  sound = None if silent else 0.25 * np.sin(np.arange(round(seconds * 48000)) * 0.05)[None]
  return making.write(path, times_s, sound=sound, sound_codec="pcm_s16le" if path.suffix == ".mov" else "aac")


def wav(path: pathlib.Path, seconds: float, *, rate: int = 96000, level: float = 0.5) -> pathlib.Path:
  """A stereo wav file whose channels have the levels `level` and -`level` / 2."""
  path.parent.mkdir(parents=True, exist_ok=True)
  soundfile.write(path, np.tile([level, -level / 2], (round(seconds * rate), 1)), rate, subtype="FLOAT")
  return path


def pictures(folder: pathlib.Path, count: int) -> pathlib.Path:
  """Pictures frame000001.jpg, ... of which each says its number, counted from 0."""
  folder.mkdir(parents=True)
  for k in range(count):
    cv2.imwrite(str(folder / f"frame{k + 1:06d}.jpg"), making.picture(k, 48, 64))
  return folder


def write_json(path: pathlib.Path, content: object) -> pathlib.Path:
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(content))
  return path


def greatest_hits_lists(folder: pathlib.Path, *, train: list[str], val: list[str], test: list[str]) -> None:
  """Clip lists, two clips for each video."""
  for part, videos in (("train", train), ("val", val), ("test", test)):
    write_json(folder / f"greatesthit_{part}.json", [f"{v}_{s}" for v in videos for s in (0, 11025)])


def countix_lists(folder: pathlib.Path, *, train: list[str], val: list[str], test: list[str]) -> None:
  """Lists of ids, timings from 1.5 to 4 s, and classes for all but the test videos."""
  for part, names in (("train", train), ("val", val), ("test", test)):
    write_json(folder / f"countixAV_{part}.json", names)
    write_json(folder / f"countixAV_{part}_timing.json", {name: ["1.5000", "4.0000"] for name in names})
    if part != "test":
      write_json(folder / f"countixAV_{part}_class.json", dict.fromkeys(names, "sawing wood"))


def touch(folder: pathlib.Path, *names: str) -> None:
  """Files that nobody decodes."""
  for name in names:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(TIMES if name.endswith("_times.txt") else "x")


def one_line(caught: pytest.ExceptionInfo) -> bool:
  return "\n" not in str(caught.value)
