"""How much of the procedural world can be read off without understanding it, and how it compares with real clips.

A world worth learning from gives little away: the material to a linear probe on the mean spectrum or on one picture,
the onsets to a threshold on the difference of frames.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import cv2
import jax
import mir_eval
import numpy as np
from flax import nnx
from scipy import signal
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from condfoley_jax.audio.mel import log_mel
from condfoley_jax.clip import MINI
from condfoley_jax.models.video_encoder import prepare_frames
from data_pipelines.builders.drumstick.acoustics import render_sound
from data_pipelines.builders.drumstick.picture import render_frames
from data_pipelines.builders.drumstick.scene import Scene, draw_scene
from data_pipelines.workers import mapped

# Weak enough that 34 videos of a material do not overfit, by the training videos alone.
_REGULARISATIONS = (1e-4, 1e-3, 1e-2, 1e-1)
_TOLERANCE_S = 0.1
_LONGEST_S = 10.2
_log_mel = jax.jit(functools.partial(log_mel, spec=MINI))


def scenes(split: str, count: int, *, seed: int = 0) -> list[Scene]:
  return [draw_scene(split, seed, index) for index in range(count)]


def material_accuracy(features: Callable[[Scene], np.ndarray], train: Sequence, test: Sequence, workers: int) -> float:
  """Part of the `test` scenes whose material a linear probe names that has seen `features` of the `train` scenes."""
  seen, unseen = (_features(features, part, workers) for part in (train, test))
  known, truth = (np.array([s.thing.material for s in part]) for part in (train, test))
  fold = np.arange(len(known)) // 17 % 4 == 0  # Whole rounds of the materials.
  best = max(_REGULARISATIONS, key=lambda c: _probe(c).fit(seen[~fold], known[~fold]).score(seen[fold], known[fold]))
  return _probe(best).fit(seen, known).score(unseen, truth)


def _probe(regularisation: float):
  return make_pipeline(StandardScaler(), LogisticRegression(C=regularisation, max_iter=2000))


def _features(features: Callable[[Scene], np.ndarray], scenes_: Sequence[Scene], workers: int) -> np.ndarray:
  with mapped(features, scenes_, workers) as found:
    return np.stack(list(found))


def mean_log_mel(scene: Scene) -> np.ndarray:
  """[80], over the whole video."""
  audio = signal.resample_poly(render_sound(scene), *_ratio(MINI.sample_rate, scene.sample_rate))
  # One length for all, so that one program serves them.
  padded = np.pad(audio, (0, round(_LONGEST_S * MINI.sample_rate) - len(audio))).astype(np.float32)
  return np.asarray(_log_mel(padded[None])[0])[:, : MINI.mel_frames_of(len(audio))].mean(axis=-1)


def _ratio(to: int, since: int) -> tuple[int, int]:
  common = int(np.gcd(to, since))
  return to // common, since // common


def small_frame(scene: Scene) -> np.ndarray:
  """The first frame at 32 by 24, and how often each of 64 colours is in it, [2368]."""
  frame = next(iter(render_frames(scene)))
  colours = cv2.calcHist([frame], [0, 1, 2], None, [4, 4, 4], [0, 256] * 3).ravel() / frame[..., 0].size
  return np.concatenate([cv2.resize(frame, (32, 24), interpolation=cv2.INTER_AREA).ravel() / 255, 4 * colours])


class Change(NamedTuple):
  """Mean difference of each frame to the one before, [T], levels; frames per second; the contacts' times, s."""

  levels: np.ndarray
  fps: float
  onsets_s: np.ndarray


def change(scene: Scene) -> Change:
  levels = frame_change(render_frames(scene))
  return Change(levels, float(scene.fps), np.array([s.time_s for s in scene.strokes]))


def frame_change(frames: Iterable[np.ndarray]) -> np.ndarray:
  grey = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in frames)
  return np.array([0.0, *(np.abs(b - a).mean() for a, b in itertools.pairwise(grey))])


def network_curve(scene: Scene, parts: dict[str, nnx.Module]) -> Change:
  """Chance of an onset that a trained video encoder sees in each frame, in place of the change."""
  shown = [int((k + 0.5) / MINI.fps * scene.fps) for k in range(int(scene.duration_s * MINI.fps))]
  size = (MINI.frame_size, MINI.frame_size)
  small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in render_frames(scene)]
  frames = np.stack([small[min(k, len(small) - 1)] for k in shown])
  clips = np.pad(frames, ((0, -len(frames) % MINI.frames), *[(0, 0)] * 3), mode="edge").reshape(
    -1, MINI.frames, *frames.shape[1:]
  )
  levels = [np.asarray(_onset_chance(parts["video_encoder"], parts["event_head"], clip[None])[0]) for clip in clips]
  onsets_s = np.array([s.time_s for s in scene.strokes])
  return Change(np.concatenate(levels)[: len(frames)], float(MINI.fps), onsets_s)


@nnx.jit
def _onset_chance(encoder: nnx.Module, head: nnx.Module, frames_BxTxSxSx3: jax.Array) -> jax.Array:
  return jax.nn.sigmoid(head(encoder(prepare_frames(frames_BxTxSxSx3), use_running_average=True)).onset)


def threshold_f1(changes: Sequence[Change]) -> float:
  """Mean onset F1 within 0.1 s of the best peak picker on the levels, its rule chosen on these data."""
  rules = itertools.product((1, -1), (0.2, 0.4, 0.8, 1.6), (0.1, 0.25, 0.4), (-0.1, -0.05, 0.0, 0.05, 0.1))
  return max(np.mean([_f1(c, *rule) for c in changes]) for rule in rules)


def _f1(seen: Change, sign: int, prominence: float, apart_s: float, late_s: float) -> float:
  level = sign * seen.levels / max(np.std(seen.levels), 1e-6)
  peaks, _ = signal.find_peaks(level, prominence=prominence, distance=max(1, round(apart_s * seen.fps)))
  times = np.clip((peaks - 0.5) / seen.fps + late_s, 0, None)
  return mir_eval.onset.f_measure(seen.onsets_s, np.sort(times), window=_TOLERANCE_S)[0]


class Contact(NamedTuple):
  """What a contact sounds and looks like.

  Attributes:
    rise_ms: from a tenth of its peak to the peak, of the envelope.
    decay_ms: from the peak until it has fallen by 20 dB, or to the next contact.
    centroid_hz: of 50 ms from its beginning.
    motion: change of frames around it over that of the whole video.
  """

  rise_ms: float
  decay_ms: float
  centroid_hz: float
  motion: float


def contacts(audio: np.ndarray, rate: int, onsets_s: np.ndarray, levels: np.ndarray, fps: float) -> list[Contact]:
  """Of those contacts that stand 6 dB above what is before them."""
  envelope = np.sqrt(signal.convolve(audio**2, np.ones(rate // 500) / (rate // 500), "same").clip(1e-12))
  ends = [*onsets_s[1:], len(audio) / rate]
  found = (_contact(audio, envelope, rate, a, b, levels, fps) for a, b in zip(onsets_s, ends, strict=True))
  return [contact for contact in found if contact]


def _contact(audio, envelope, rate: int, start_s: float, end_s: float, levels, fps: float) -> Contact | None:
  first, last = round((start_s - 0.03) * rate), round(min(end_s - 0.03, start_s + 1.5) * rate)
  if first < 0 or last - first < rate // 10:
    return None
  part = envelope[first:last]
  peak = int(np.argmax(part[: round(0.12 * rate)]))
  if part[peak] < 2 * part[: rate // 100].mean():
    return None
  below = np.flatnonzero(part[:peak] < 0.1 * part[peak])
  rise = peak - (below[-1] if len(below) else 0)
  fallen = np.flatnonzero(part[peak:] < 0.1 * part[peak])
  decay = fallen[0] if len(fallen) else len(part) - peak
  power = np.abs(np.fft.rfft(audio[first + peak - rise :][: rate // 20])) ** 2
  hertz = np.arange(len(power)) * 20.0
  frame = round(start_s * fps)
  around = levels[max(1, frame - 1) : frame + 2]
  motion = around.max() / max(np.median(levels[1:]), 1e-3) if len(around) else 0.0
  return Contact(1e3 * rise / rate, 1e3 * decay / rate, float(hertz @ power / power.sum()), float(motion))


def scene_contacts(scene: Scene) -> list[Contact]:
  seen = change(scene)
  audio = render_sound(scene).astype(np.float64)
  return contacts(audio, scene.sample_rate, seen.onsets_s, seen.levels, seen.fps)
