"""What happens in one video: everything that sound and picture share, drawn from (split, seed, index)."""

import dataclasses
import fractions

import numpy as np

from data_pipelines.builders.drumstick.materials import MATERIALS
from data_pipelines.builders.drumstick.things import Thing, draw_thing
from data_pipelines.builders.events import Event

VERSION = 1  # of the world: one more when any pixel or sample changes
_WORLD = "drumstick-v"  # what the names of all videos begin with; the version follows
SPLITS = ("train", "val", "test")
FRAME_RATES = {
  fractions.Fraction(15): 0.06,
  fractions.Fraction(24000, 1001): 0.10,
  fractions.Fraction(24): 0.10,
  fractions.Fraction(25): 0.16,
  fractions.Fraction(30000, 1001): 0.26,
  fractions.Fraction(30): 0.20,
  fractions.Fraction(50): 0.06,
  fractions.Fraction(60): 0.06,
}
SAMPLE_RATES = {22050: 0.2, 44100: 0.4, 48000: 0.4}  # Hz
_STREAMS = ("plan", "motion", "sound", "picture", "order", "file")
_LEAD_IN_S, _LEAD_OUT_S = 0.45, 0.4
# Of the real annotations, whose times are multiples of 1/15 s: the shortest interval; each video's median interval at
# its 5, 25, 50, 75 and 95 % quantiles, half a step of the grid smoothed away; the spread of intervals within a video.
_MIN_GAP_S, _MAX_GAP_S = 0.2, 2.5
_TEMPO_S = (0.44, 0.50, 0.58, 0.70, 0.95)
_TEMPO_AT = (0.05, 0.25, 0.5, 0.75, 0.95)
_JITTER = (0.10, 0.32)
_PAUSE = 0.03
# Chance that the next stroke is of the same kind, measured likewise; a scratch comes after a scratch.
_AGAIN = {"hit": 0.87, "scratch": 0.73}


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
    thing: what is struck.
    fps: frame rate, exact.
    frames: number of frames; the sound is exactly as long.
    sample_rate: Hz.
    strokes: contacts in order of time.
  """

  split: str
  seed: int
  index: int
  thing: Thing
  fps: fractions.Fraction
  frames: int
  sample_rate: int
  strokes: tuple[Stroke, ...]

  @property
  def duration_s(self) -> float:
    return float(self.frames / self.fps)

  @property
  def samples(self) -> int:
    return round(self.frames / self.fps * self.sample_rate)

  @property
  def name(self) -> str:
    return video_name(self.split, self.seed, self.index)

  def events(self) -> list[Event]:
    return [Event(s.time_s, self.thing.material, s.action, self.thing.reaction) for s in self.strokes]

  def rng(self, stream: str) -> np.random.Generator:
    """Random numbers of one of _STREAMS, the same at each call."""
    return _rng(self.split, self.seed, self.index, stream)


def world_name(split: str, seed: int) -> str:
  """What the names of a split's videos begin with."""
  return f"{_WORLD}{VERSION}-{split}-{seed}"


def video_name(split: str, seed: int, index: int) -> str:
  return f"{world_name(split, seed)}-{index:04d}"


def is_video_name(name: str) -> bool:
  """Whether a name, or that of a clip, begins as the videos of the world do, of any version."""
  return name.startswith(_WORLD)


def draw_scene(split: str, seed: int, index: int) -> Scene:
  """The scene of that video. Splits draw from disjoint streams. Raises ValueError on an unknown split."""
  rng = _rng(split, seed, index, "plan")
  fps = list(FRAME_RATES)[rng.choice(len(FRAME_RATES), p=list(FRAME_RATES.values()))]
  frames = round(rng.uniform(6, 10) * fps)
  names = sorted(MATERIALS)
  # Consecutive videos walk through a shuffled table, so that small sets are balanced.
  order = _rng(split, seed, index // len(names), "order").permutation(len(names))
  return Scene(
    split=split,
    seed=seed,
    index=index,
    thing=draw_thing(names[order[index % len(names)]], rng),
    fps=fps,
    frames=frames,
    sample_rate=int(rng.choice(list(SAMPLE_RATES), p=list(SAMPLE_RATES.values()))),
    strokes=_draw_strokes(rng, float(frames / fps)),
  )


def _rng(split: str, seed: int, index: int, stream: str) -> np.random.Generator:
  if split not in SPLITS:
    raise ValueError(f"split is one of {', '.join(SPLITS)}, not {split}")
  return np.random.default_rng((VERSION, SPLITS.index(split), seed, index, _STREAMS.index(stream)))


def _draw_strokes(rng: np.random.Generator, duration_s: float) -> tuple[Stroke, ...]:
  """Runs of hits and of scratches, each hand with its own tempo, steadiness and force."""
  tempo_s = np.exp(np.interp(rng.random(), _TEMPO_AT, np.log(_TEMPO_S)))
  jitter, loudness = rng.uniform(*_JITTER), rng.uniform(0.3, 0.8)
  action = "hit" if rng.random() < 0.67 else "scratch"
  strokes = []
  time_s = _LEAD_IN_S + rng.uniform(0, 0.6)
  while True:
    gap_s = _draw_gap(rng, tempo_s, jitter)
    length_s = min(rng.uniform(0.14, 0.5), 0.75 * gap_s) if action == "scratch" else 0.0
    if time_s + length_s > duration_s - _LEAD_OUT_S:
      return tuple(strokes)
    strength = np.clip(loudness * np.exp(0.32 * rng.standard_normal()), 0.12, 1.0)
    # Microseconds, so that the events file holds the exact instant.
    strokes.append(Stroke(round(float(time_s), 6), float(strength), round(float(length_s), 6)))
    time_s += gap_s
    if rng.random() > _AGAIN[action]:
      action = "scratch" if action == "hit" else "hit"


def _draw_gap(rng: np.random.Generator, tempo_s: float, jitter: float) -> float:
  """A human's interval: jittered about the tempo, with a pause now and then."""
  pause = rng.uniform(1.8, 3.5) if rng.random() < _PAUSE else 1.0
  return float(np.clip(tempo_s * pause * np.exp(jitter * rng.standard_normal()), _MIN_GAP_S, _MAX_GAP_S))
