"""Systems that need no training: what every metric should put at its top, at its floor, and in between.

Each takes a trial and a NumPy generator and gives audio as long as the target's, float32 [N]. Those that paste do so
by the published rule of onset transfer (`paste_snippets`), so that they differ in their times and in whose sound it is,
and in nothing else.
"""

from typing import NamedTuple

import numpy as np

METRONOME_HZ = 5.0
# An onset is seen in a frame of more than this probability, and no other one so many frames about it.
_SEEN, _NEAR = 0.5, 4
# What is seen are contacts, what is heard of them by the detector comes a hop of its own later: 0.023 s in the median
# of 100 contacts of videos of another seed than the tests'.
_HEARD_LATER_S = 512 / 22050


class Sound(NamedTuple):
  """Mono float audio [N] in [-1, 1] and its onsets, s, ascending, in [0, N / rate)."""

  audio_N: np.ndarray
  onsets_s: np.ndarray


class Trial(NamedTuple):
  """The true sound of the query, the example that it shall sound like, and the rate of both, Hz."""

  target: Sound
  example: Sound
  rate: int


def oracle(trial: Trial, rng: np.random.Generator) -> np.ndarray:
  """The true sound: the best there is, except for what compares with the example."""
  return np.asarray(trial.target.audio_N, np.float32)


def silence(trial: Trial, rng: np.random.Generator) -> np.ndarray:
  """Zeros."""
  return np.zeros(len(trial.target.audio_N), np.float32)


def noise(trial: Trial, rng: np.random.Generator) -> np.ndarray:
  """White Gaussian noise with the example's RMS, clipped to [-1, 1]."""
  rms = np.sqrt(np.mean(np.square(trial.example.audio_N, dtype=np.float64)))
  return np.clip(rms * rng.standard_normal(len(trial.target.audio_N)), -1, 1).astype(np.float32)


def shuffled(trial: Trial, other: Trial, rng: np.random.Generator) -> np.ndarray:
  """The true sound of another trial (see `draw_others`), cut or followed by silence to this one's length."""
  size = len(trial.target.audio_N)
  audio = np.asarray(other.target.audio_N[:size], np.float32)
  return np.pad(audio, (0, size - len(audio)))


def true_onsets(trial: Trial, rng: np.random.Generator) -> np.ndarray:
  """The example's snippets at the target's onsets: perfect times, the example's own sound."""
  return _paste(trial, trial.example, trial.target.onsets_s, rng)


def wrong_material(trial: Trial, other: Trial, rng: np.random.Generator) -> np.ndarray:
  """The snippets of another trial's example at the target's onsets: perfect times, the wrong sound."""
  return _paste(trial, other.example, trial.target.onsets_s, rng)


def random_onsets(trial: Trial, rng: np.random.Generator, onsets_hz: float) -> np.ndarray:
  """The example's snippets at the times of a Poisson process with `onsets_hz` onsets a second, as in the test set."""
  duration_s = len(trial.target.audio_N) / trial.rate
  times_s = np.sort(rng.uniform(0, duration_s, rng.poisson(onsets_hz * duration_s)))
  return _paste(trial, trial.example, times_s, rng)


def metronome(trial: Trial, rng: np.random.Generator) -> np.ndarray:
  """The example's snippets five times a second, from 0.1 s on: within 100 ms of any time there is."""
  beats = int(METRONOME_HZ * len(trial.target.audio_N) / trial.rate)
  return _paste(trial, trial.example, (np.arange(beats) + 0.5) / METRONOME_HZ, rng)


def onset_transfer(trial: Trial, onsets_s: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """The example's snippets where contacts are seen (`seen_onsets`): the paper's Onset Transfer (sec. 4.2)."""
  heard_s = onsets_s + _HEARD_LATER_S
  return _paste(trial, trial.example, heard_s[heard_s < len(trial.target.audio_N) / trial.rate], rng)


def seen_onsets(seen_T: np.ndarray, fps: int) -> np.ndarray:
  """Times of the contacts that are seen, by the published rule: the surest frame that is left, its neighbours going.

  Args:
    seen_T: float [T], probability of a contact in each frame.
    fps: frames a second.

  Returns:
    float64 [n] s, ascending, the middles of frames; at least one.
  """
  left, found = np.array(seen_T, np.float64), []
  while not found or left.max() > _SEEN:
    at = int(np.argmax(left))
    found.append(at)
    left[max(at - _NEAR, 0) : at + _NEAR] = -1
  return (np.sort(found) + 0.5) / fps


def draw_others(labels_I: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """For each trial another one with another label, each equally likely, int64 [I].

  Args:
    labels_I: [I]. The targets' videos, for `shuffled`; the examples' materials (where unknown, their videos), for
      `wrong_material`.

  Raises:
    ValueError: all labels are equal.
  """
  labels = np.asarray(labels_I)
  if len(np.unique(labels)) < 2:
    raise ValueError(f"{len(labels)} trials of one kind: there is no other to draw")
  return np.array([rng.choice(np.flatnonzero(labels != label)) for label in labels])


def paste_snippets(
  example_audio_N: np.ndarray,
  example_onsets_s: np.ndarray,
  onsets_s: np.ndarray,
  rate: int,
  duration_s: float,
  rng: np.random.Generator,
) -> np.ndarray:
  """A snippet of the example at each onset, by the published rule of onset transfer.

  For each onset one of the example's is drawn, each equally likely. Of both, a third of the gap to the onset before (to
  the start, for the first) and half of the gap to the next one (to the end, for the last) are theirs; the shorter of
  the two of each kind is copied, cut hard, onto silence.

  An example without onsets (on which the published program stops) has one at its loudest sample; of a silent one the
  result is silent.

  Args:
    example_audio_N: mono float audio [N] at `rate` Hz.
    example_onsets_s: s, ascending, in [0, N / rate).
    onsets_s: where to paste, s, ascending, in [0, duration_s).
    rate: Hz, of the example and the result.
    duration_s: length of the result, s.
    rng: draws the snippets.

  Returns:
    float32 [round(duration_s * rate)].

  Raises:
    ValueError: onsets are not ascending, or lie outside their sound.
  """
  example, pasted = np.asarray(example_audio_N, np.float32), np.zeros(round(duration_s * rate), np.float32)
  if not len(example_onsets_s):
    example_onsets_s = np.array([np.argmax(np.abs(example)) / rate])
  sources, places = _spans(example_onsets_s, rate, len(example)), _spans(onsets_s, rate, len(pasted))
  for at, *room in places:
    start, *own = sources[rng.integers(len(sources))]
    before, after = np.minimum(room, own)
    pasted[at - before : at + after] = example[start - before : start + after]
  return pasted


def _paste(trial: Trial, example: Sound, onsets_s: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  duration_s = len(trial.target.audio_N) / trial.rate
  return paste_snippets(example.audio_N, example.onsets_s, onsets_s, trial.rate, duration_s, rng)


def _spans(onsets_s: np.ndarray, rate: int, size: int) -> np.ndarray:
  """Of each onset its sample and how many before and after it are its own, int64 [n, 3]."""
  at = np.round(np.asarray(onsets_s, np.float64) * rate).astype(int)
  if np.any(np.diff(at) < 0) or np.any(at < 0) or np.any(np.asarray(onsets_s) * rate >= size):
    raise ValueError(f"onsets {np.asarray(onsets_s)} s do not ascend within a sound of {size / rate:g} s")
  before = np.diff(at, prepend=0) // 3
  after = np.diff(at, append=size) // 4 * 2
  return np.stack([at, before, after], axis=1)
