"""A small set of trials whose truth is known, and what every reference system scores on it.

`python -m tests.evaluation.strikes` prints the table of docs/metrics.md.
"""

import functools

import numpy as np

from condfoley_jax.audio.onsets import detect_onsets
from condfoley_jax.evaluation import onset_scores, reference_systems, sound_descriptors, sound_scores
from condfoley_jax.evaluation.legacy_onsets import legacy_ap
from condfoley_jax.evaluation.reference_systems import Sound, Trial

RATE, SECONDS, TRIALS = 22050, 2.0, 30
ONSETS_HZ = 2.5
COLUMNS = (
  "onset_f1_25ms", "onset_f1_50ms", "onset_f1_100ms", "onset_ap", "onset_count_accuracy", "onset_count_mae",
  "onset_latency_s", "legacy_ap", "decay_similarity", "centroid_similarity", "level_similarity", "mcd_db",
  "stft_distance",
)  # fmt: skip


def struck(rng: np.random.Generator, pitch: float, fall_s: float, count: int) -> Sound:
  """`count` strikes on one thing, 0.15 s apart at least, above a faint hiss; onsets as detected."""
  time = np.arange(round(SECONDS * RATE)) / RATE
  spare = np.sort(rng.uniform(0, SECONDS - 0.2 - 0.15 * count, count))
  audio = 1e-4 * rng.standard_normal(len(time))
  for start in 0.1 + spare + 0.15 * np.arange(count):
    since = time[time >= start] - start
    modes = [np.sin(2 * np.pi * pitch * k * since) * 10 ** (-since * k / fall_s) for k in (1.0, 1.5, 2.3)]
    click = rng.standard_normal(len(since)) * 10 ** (-since / 0.005)
    audio[time >= start] += rng.uniform(0.05, 0.2) * (sum(modes) + 0.3 * click)
  audio = np.clip(audio, -1, 1).astype(np.float32)
  return Sound(audio, detect_onsets(audio, RATE))


@functools.cache
def trials() -> tuple[Trial, ...]:
  """Things in pairs: trial i's target is struck on one, its example on another; 2 to 8 strikes each."""
  rng = np.random.default_rng(7)
  things = [(200 * 16 ** rng.uniform(), 0.03 * 10 ** rng.uniform()) for _ in range(2 * TRIALS)]
  sounds = [struck(rng, *thing, rng.integers(2, 9)) for thing in things]
  return tuple(Trial(*pair, RATE) for pair in zip(sounds[::2], sounds[1::2], strict=True))


def one_random_onset(trial: Trial, rng: np.random.Generator) -> np.ndarray:
  """One snippet of the example anywhere."""
  return reference_systems.paste_snippets(*trial.example, rng.uniform(0, SECONDS, 1), RATE, SECONDS, rng)


SYSTEMS = {
  "oracle": lambda trial, other, rng: reference_systems.oracle(trial, rng),
  "true_onsets": lambda trial, other, rng: reference_systems.true_onsets(trial, rng),
  "wrong_material": reference_systems.wrong_material,
  "metronome": lambda trial, other, rng: reference_systems.metronome(trial, rng),
  "random_onsets": lambda trial, other, rng: reference_systems.random_onsets(trial, rng, ONSETS_HZ),
  "one_random_onset": lambda trial, other, rng: one_random_onset(trial, rng),
  "shuffled": reference_systems.shuffled,
  "noise": lambda trial, other, rng: reference_systems.noise(trial, rng),
  "silence": lambda trial, other, rng: reference_systems.silence(trial, rng),
}


@functools.cache
def table() -> dict[str, dict[str, float]]:
  """System to metric to its mean over the trials (of the latency: the median)."""
  rows = {}
  for name, system in SYSTEMS.items():
    rng = np.random.default_rng(11)
    others = reference_systems.draw_others(np.arange(TRIALS), rng)
    scores = [_scores(t, system(t, trials()[other], rng)) for t, other in zip(trials(), others, strict=True)]
    late = np.concatenate([score.pop("late") for score in scores])
    rows[name] = {key: float(np.mean([score[key] for score in scores])) for key in scores[0]}
    rows[name]["onset_latency_s"] = float(np.median(late)) if len(late) else np.nan
  return rows


def _scores(trial: Trial, audio_N: np.ndarray) -> dict:
  true_s, found_s = trial.target.onsets_s, detect_onsets(audio_N, RATE)
  sure = onset_scores.confidences(audio_N, found_s, RATE)
  right, error = onset_scores.count(true_s, found_s)
  samples = [np.round(times * RATE).astype(int) for times in (true_s, found_s)]
  alike = sound_descriptors.similarity(
    sound_descriptors.describe(audio_N, found_s, RATE),
    sound_descriptors.describe(trial.example.audio_N, trial.example.onsets_s, RATE),
  )
  return {
    **{f"onset_f1_{1000 * t:.0f}ms": onset_scores.detection(true_s, found_s, t).f1 for t in onset_scores.TOLERANCES_S},
    "onset_ap": onset_scores.average_precision(true_s, found_s, sure),
    "onset_count_accuracy": right,
    "onset_count_mae": error,
    "late": onset_scores.latencies(true_s, found_s),
    "legacy_ap": legacy_ap(*samples, audio_N, 0.1, RATE),
    **dict(zip(("decay_similarity", "centroid_similarity", "level_similarity"), alike, strict=True)),
    "mcd_db": sound_scores.mcd(audio_N, trial.target.audio_N, RATE),
    "stft_distance": sound_scores.stft_distance(audio_N, trial.target.audio_N).total,
  }


def markdown() -> str:
  """The table, metrics down and systems across."""
  lines = ["| | " + " | ".join(SYSTEMS) + " |", "|---" * (len(SYSTEMS) + 1) + "|"]
  for key in COLUMNS:
    cells = [table()[name][key] for name in SYSTEMS]
    lines.append(f"| `{key}` | " + " | ".join("-" if np.isnan(c) else f"{c:.2f}" for c in cells) + " |")
  return "\n".join(lines)


if __name__ == "__main__":
  print(markdown())
