"""What happens in one video: everything that sound and picture share, drawn from (split, seed, index)."""

import dataclasses
import fractions

import numpy as np

from data_pipelines.builders.drumstick import materials
from data_pipelines.builders.events import Event

SPLITS = ("train", "val", "test")
FRAME_RATES = (fractions.Fraction(24), fractions.Fraction(25), fractions.Fraction(30000, 1001), fractions.Fraction(30))
SAMPLE_RATES = (22050, 44100)
_STREAMS = ("plan", "motion", "sound", "picture", "order")
_LEAD_IN_S, _LEAD_OUT_S = 0.45, 0.4
_MIN_GAP_S, _MAX_GAP_S = 0.25, 2.0


@dataclasses.dataclass(frozen=True)
class Stroke:
  """One contact: `strength` in (0, 1]; `duration_s` is 0 for a hit."""

  time_s: float
  strength: float
  duration_s: float = 0.0

  @property
  def action(self) -> str:
    return "scratch" if self.duration_s else "hit"

  @property
  def end_s(self) -> float:
    return self.time_s + self.duration_s


@dataclasses.dataclass(frozen=True)
class Scene:
  """The plan of one video.

  Attributes:
    split, seed, index: what it was drawn from.
    material: a key of `materials.MATERIALS`.
    fps: frame rate, exact.
    frames: number of frames; the sound is exactly as long.
    sample_rate: Hz.
    strokes: contacts in order of time.
  """

  split: str
  seed: int
  index: int
  material: str
  fps: fractions.Fraction
  frames: int
  sample_rate: int
  strokes: tuple[Stroke, ...]

  @property
  def row(self) -> materials.Material:
    return materials.MATERIALS[self.material]

  @property
  def duration_s(self) -> float:
    return float(self.frames / self.fps)

  @property
  def samples(self) -> int:
    return round(self.frames / self.fps * self.sample_rate)

  @property
  def name(self) -> str:
    return f"drumstick-{self.split}-{self.seed}-{self.index:04d}"

  def events(self) -> list[Event]:
    return [Event(s.time_s, self.material, s.action, self.row.reaction) for s in self.strokes]

  def rng(self, stream: str) -> np.random.Generator:
    return _rng(self.split, self.seed, self.index, stream)


def draw_scene(split: str, seed: int, index: int) -> Scene:
  """The scene of that video. Splits draw from disjoint streams. Raises ValueError on an unknown split."""
  rng = _rng(split, seed, index, "plan")
  fps = FRAME_RATES[rng.integers(len(FRAME_RATES))]
  frames = round(rng.uniform(6, 10) * fps)
  names = sorted(materials.MATERIALS)
  # Consecutive videos walk through a shuffled table, so that small sets are balanced.
  order = _rng(split, seed, index // len(names), "order").permutation(len(names))
  return Scene(
    split=split,
    seed=seed,
    index=index,
    material=names[order[index % len(names)]],
    fps=fps,
    frames=frames,
    sample_rate=int(rng.choice(SAMPLE_RATES)),
    strokes=_draw_strokes(rng, float(frames / fps)),
  )


def _rng(split: str, seed: int, index: int, stream: str) -> np.random.Generator:
  if split not in SPLITS:
    raise ValueError(f"split is one of {', '.join(SPLITS)}, not {split}")
  return np.random.default_rng((SPLITS.index(split), seed, index, _STREAMS.index(stream)))


def _draw_strokes(rng: np.random.Generator, duration_s: float) -> tuple[Stroke, ...]:
  scratching = rng.choice([0.0, 1.0, rng.uniform(0.2, 0.6)], p=[0.5, 0.2, 0.3])
  tempo_s = np.exp(rng.uniform(np.log(0.30), np.log(0.75)))
  loudness = rng.uniform(0.35, 0.8)
  strokes = []
  time_s = _LEAD_IN_S + rng.uniform(0, 0.6)
  while True:
    length_s = rng.uniform(0.2, 0.8) if rng.random() < scratching else 0.0
    if time_s + length_s > duration_s - _LEAD_OUT_S:
      return tuple(strokes)
    strength = np.clip(loudness * np.exp(0.32 * rng.standard_normal()), 0.15, 1.0)
    # Microseconds, so that the events file holds the exact instant.
    strokes.append(Stroke(round(float(time_s), 6), float(strength), round(float(length_s), 6)))
    time_s += length_s + _draw_gap(rng, tempo_s)


def _draw_gap(rng: np.random.Generator, tempo_s: float) -> float:
  """A human's interval: jittered about the tempo, with a pause now and then."""
  pause = rng.choice([1.0, 2.0, 3.0], p=[0.84, 0.12, 0.04])
  return np.clip(tempo_s * pause * np.exp(0.22 * rng.standard_normal()), _MIN_GAP_S, _MAX_GAP_S)
