"""What this version of the world looks and sounds like, and how it is stored: by running this module.

A hash of every pixel and every sample of a clip of each material, which holds on processors that round as the one it
was made on. For all others, which may round one the other way, sums over blocks: a change of the world moves many.
More scenes, to their first contact, draw what these do not; and of a few that are cut short the file is hashed.
"""

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import re
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from unittest import mock

import av
import cv2
import numpy as np

from data_pipelines.builders.drumstick import builder
from data_pipelines.builders.drumstick.acoustics import elastic, render_sound
from data_pipelines.builders.drumstick.materials import MATERIALS
from data_pipelines.builders.drumstick.picture import HEIGHT, WIDTH, distractors, frames, looks, render_frames
from data_pipelines.builders.drumstick.picture.camera import CANVAS, MARGIN
from data_pipelines.builders.drumstick.render import draw_coding, render_scene
from data_pipelines.builders.drumstick.scene import FRAME_RATES, SAMPLE_RATES, VERSION, Scene, draw_scene
from data_pipelines.builders.events import times_path

PATH = Path(__file__).with_name(f"version_{VERSION}.npz")
_BLOCK, _SOUND_S, _SECONDS = 16, 0.02, 11
_STEPS = 256  # that a level of 255 is stored in
COUNT = 17  # One video of each material.
# Planned, and not rendered: every split, and another seed.
OTHERS = (("train", 0), ("val", 0), ("test", 1), ("train", 7))
# Training videos, of which some are picked for what they draw: the first of brass is number 603.
_CANDIDATES, _METALS = 170, 624
_FILE_S = 1.5
_TRIALS = 97  # videos of the test split, as many as the published evaluation has


class Told(tuple):
  """A row of a table that tells which of its columns are read by number."""

  def __new__(cls, row: tuple, name: str, seen: set[str]):
    self = super().__new__(cls, row)
    self._name, self._seen = name, seen
    return self

  def __getitem__(self, number):
    self._seen.add(f"{self._name} {number}")
    return super().__getitem__(number)


def scenes() -> list[Scene]:
  return [draw_scene("test", 0, index) for index in range(COUNT)]


def others() -> list[Scene]:
  return [draw_scene(split, seed, index) for split, seed in OTHERS for index in range(COUNT)]


def short_scenes() -> list[Scene]:
  """One of each sample rate, cut short."""
  first = {scene.sample_rate: scene for scene in reversed(scenes())}
  return [_cut(first[rate]) for rate in SAMPLE_RATES]


def _cut(scene: Scene) -> Scene:
  strokes = tuple(s for s in scene.strokes if s.end_s < _FILE_S)
  return dataclasses.replace(scene, frames=round(_FILE_S * scene.fps), strokes=strokes)


def everything() -> set[str]:
  """All that a video may draw, of what is drawn by number."""
  made = {f"form {name} {form.shape}" for name, row in MATERIALS.items() for form in row.forms}
  made |= {f"reaction {name} {reaction}" for name, row in MATERIALS.items() for reaction in row.reactions}
  made |= {f"look {name} {k}" for name, row in looks.LOOKS.items() for k in range(len(row))}
  made |= {f"elastic {name} {k}" for name, row in elastic._MADE_OF.items() for k in range(len(row))}
  made |= {f"distractor {kind.__name__}" for kind in distractors.Distractor.__subclasses__()}
  return made | {f"fps {fps}" for fps in FRAME_RATES} | {f"rate {rate}" for rate in SAMPLE_RATES}


@dataclasses.dataclass(frozen=True)
class Rendered:
  """A scene's picture and sound, hash and sums each, and what of `everything` is in them."""

  picture: tuple[str, np.ndarray]
  sound: tuple[str, np.ndarray]
  drawn: frozenset[str]

  @property
  def exact(self) -> tuple[str, str]:
    return self.picture[0], self.sound[0]


@functools.cache
def rendered(scene: Scene, part: bool = False) -> Rendered:
  """A whole scene, or its sound and its picture up to the first contact."""
  count = int(scene.strokes[0].time_s * scene.fps) + 2 if part else scene.frames
  thing = scene.thing
  drawn = {f"form {thing.material} {thing.shape}", f"reaction {thing.material} {thing.reaction}"}
  drawn |= {f"fps {scene.fps}", f"rate {scene.sample_rate}"}
  with _recorded(drawn) as moving:
    made = picture(scene, count), sound(scene)
  time_s = count / float(scene.fps) / 2
  drawn |= {f"distractor {type(other).__name__}" for other in moving if _is_seen(other, time_s)}
  return Rendered(*made, frozenset(drawn))


@contextlib.contextmanager
def _recorded(drawn: set[str]) -> Iterator[list[distractors.Distractor]]:
  """Adds to `drawn` the looks and elastic rows that are used in the block; yields its distractors."""
  tables, moving = ((looks.LOOKS, "look"), (elastic._MADE_OF, "elastic")), []
  draw = frames.draw_distractors

  def drawing(*arguments):
    moving.extend(draw(*arguments))
    return moving

  with contextlib.ExitStack() as stack:
    for table, word in tables:
      told = {name: Told(row, f"{word} {name}", drawn) for name, row in table.items()}
      stack.enter_context(mock.patch.dict(table, told))
    stack.enter_context(mock.patch.object(frames, "draw_distractors", drawing))
    yield moving


def _is_seen(other: distractors.Distractor, time_s: float) -> bool:
  """Whether it changes a grey picture."""
  canvas, cover = np.full((*CANVAS, 3), 128, np.uint8), np.zeros(CANVAS, np.uint8)
  other.paint(canvas, time_s)
  inside = canvas[MARGIN:-MARGIN, MARGIN:-MARGIN]
  return bool(np.any(inside != 128) or np.any(other.shade(cover, time_s)) or other.gain(time_s) != 1)


def pick() -> list[int]:
  """Numbers of training videos that with `scenes` draw `everything`: each time the one that adds most."""
  left = everything().difference(*(rendered(s).drawn for s in scenes()))
  candidates = [draw_scene("train", 0, index) for index in range(_METALS)]
  candidates = [s for s in candidates if s.index < _CANDIDATES or s.thing.material == "metal"]
  drawn = {scene.index: rendered(scene, part=True).drawn for scene in candidates}
  picked = []
  while left:
    picked.append(max(drawn, key=lambda index: len(left & drawn[index])))
    assert left & drawn[picked[-1]], f"more candidates are needed for {left}"
    left -= drawn[picked[-1]]
  return sorted(picked)


def file_of(scene: Scene) -> tuple[str, str]:
  """Hashes of a scene's mp4 and of its events."""
  with tempfile.TemporaryDirectory() as aside:
    path = render_scene(scene, Path(aside))
    return _hash_of(path), _hash_of(times_path(path))


def trials() -> list[str]:
  """Hashes of the test split's lists."""
  with tempfile.TemporaryDirectory() as folder:
    builder.write_protocol(Path(folder), 0, _TRIALS, 2.0)
    return [_hash_of(path) for path in sorted(Path(folder).iterdir())]


def _hash_of(path: Path) -> str:
  return hashlib.sha256(path.read_bytes()).hexdigest()


def plan(scene: Scene) -> str:
  """Hash of all that is drawn before anything is rendered, to 9 digits, and of how the file is compressed."""
  drawn = re.sub(r"\d+\.\d*(e-?\d+)?", lambda number: f"{float(number[0]):.9g}", f"{scene} {draw_coding(scene)}")
  return hashlib.sha256(drawn.encode()).hexdigest()


def picture(scene: Scene, count: int) -> tuple[str, np.ndarray]:
  """Hash of the first frames, and mean of each block over each second, in steps, uint16 [11, H / 16, W / 16, 3]."""
  digest, totals, counts = hashlib.sha256(), np.zeros((_SECONDS, HEIGHT, WIDTH, 3)), np.zeros(_SECONDS)
  for k, frame in enumerate(itertools.islice(render_frames(scene), count)):
    digest.update(np.ascontiguousarray(frame))
    second = int(k / scene.fps)
    totals[second] += frame
    counts[second] += 1
  blocks = totals.reshape(_SECONDS, HEIGHT // _BLOCK, _BLOCK, WIDTH // _BLOCK, _BLOCK, 3).mean(axis=(2, 4))
  steps = np.round(_STEPS * blocks / np.maximum(counts, 1)[:, None, None, None])
  return digest.hexdigest(), steps.astype(np.uint16)


def sound(scene: Scene) -> tuple[str, np.ndarray]:
  """Hash of all samples; level of each 20 ms, and mean of its samples, float64 [520, 2], zeros after the end."""
  audio, size = render_sound(scene), round(_SOUND_S * scene.sample_rate)
  blocks = np.pad(audio.astype(np.float64), (0, -len(audio) % size)).reshape(-1, size)
  told = np.stack([np.sqrt((blocks**2).mean(axis=1)), blocks.mean(axis=1)], axis=-1)
  return hashlib.sha256(audio).hexdigest(), np.pad(told, ((0, 520 - len(told)), (0, 0)))


def rounding() -> str:
  """Hash of what OpenCV, NumPy, its BLAS and FFmpeg make of noise: where it is equal, pixels, samples and files are."""
  rng, size = np.random.default_rng(0), (256, 192)
  noise = rng.integers(0, 256, (*size, 3), np.uint8)
  smooth = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 3.0)
  turn = np.array([[0.9, 0.2, 3.0], [-0.2, 1.1, 2.0], [1e-4, 2e-4, 1.0]])
  grid = rng.uniform(0, 190, (*size, 2)).astype(np.float32)
  weight = rng.uniform(0, 1, size).astype(np.float32)
  made = [
    smooth,
    cv2.GaussianBlur(noise, (0, 0), 1.3),
    cv2.blur(smooth, (5, 5)),
    cv2.Sobel(smooth, cv2.CV_32F, 1, 0),
    cv2.warpPerspective(noise, turn, size),
    cv2.warpPerspective(smooth, turn, size),
    cv2.warpAffine(smooth, turn[:2], size),
    cv2.remap(noise, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT),
    cv2.remap(smooth, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR),
    *(cv2.resize(x, (100, 70), interpolation=i) for x in (noise, smooth) for i in (cv2.INTER_LINEAR, cv2.INTER_AREA)),
    *(cv2.resize(x, (400, 500), interpolation=i) for x in (noise, smooth) for i in (cv2.INTER_LINEAR, cv2.INTER_CUBIC)),
    cv2.transform(smooth, turn),
    cv2.blendLinear(noise, noise[::-1].copy(), weight, 1 - weight),
    cv2.multiply(noise, smooth / np.float32(200), dtype=cv2.CV_8U),
    cv2.magnitude(smooth[..., 0], smooth[..., 1]),
    cv2.distanceTransform((weight > 0.01).astype(np.uint8), cv2.DIST_L2, 5),
    cv2.ellipse(noise.copy(), ((90.3, 80.2), (61.0, 30.5), 33.0), (9, 99, 200), -1, cv2.LINE_AA),
    np.exp(smooth / np.float32(99)) + np.sin(smooth) + np.tanh(smooth),
    np.sin(grid.astype(np.float64)) + np.exp(grid.astype(np.float64) / 99),
    *_as_blas(grid.astype(np.float64).ravel()),
  ]
  return hashlib.sha256(b"".join(x.tobytes() for x in made) + _as_aac(noise)).hexdigest()


def _as_blas(noise: np.ndarray) -> Iterator[np.ndarray]:
  """Sums of products of any length: every kind of processor has an order of its own for them."""
  for size in (3, 9, 40, 1000, 30_000):
    yield np.linalg.norm(noise[:size])
    yield np.convolve(noise[:2000], noise[:size], "valid")


def _as_aac(noise: np.ndarray) -> bytes:
  """Noise as FFmpeg codes it, by itself: what the world does with FFmpeg may not change what this gives."""
  coder = av.CodecContext.create("aac", "w")
  coder.sample_rate, coder.layout, coder.format, coder.bit_rate = 22050, "mono", "fltp", 80_000
  packets = []
  for k, samples in enumerate(noise.reshape(-1, 1, 1024)[:40]):
    block = av.AudioFrame.from_ndarray(samples.astype(np.float32) / 128 - 1, format="fltp", layout="mono")
    block.sample_rate, block.pts, block.time_base = 22050, 1024 * k, Fraction(1, 22050)
    packets += coder.encode(block)
  return b"".join(bytes(packet) for packet in packets)


def main() -> None:
  whole, numbers = [rendered(s) for s in scenes()], pick()
  parts = [rendered(draw_scene("train", 0, index), part=True) for index in numbers]
  np.savez_compressed(
    PATH,
    plans=np.array([plan(s) for s in scenes()]),
    others=np.array([plan(s) for s in others()]),
    rounding=np.array(rounding()),
    exact=np.array([made.exact for made in whole]),
    pictures=np.array([made.picture[1] for made in whole]),
    sounds=np.array([made.sound[1] for made in whole], np.float32),
    picked=np.array(numbers),
    part_exact=np.array([made.exact for made in parts]),
    part_pictures=np.array([made.picture[1] for made in parts]),
    part_sounds=np.array([made.sound[1] for made in parts], np.float32),
    files=np.array([file_of(s) for s in short_scenes()]),
    trials=np.array(trials()),
  )


if __name__ == "__main__":
  main()
