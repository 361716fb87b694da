"""Sound of a scene: modal synthesis of the object, noise and grains of the surface, room and background.

The object's modes are resonators driven by the contact force (half-sine pulses of strikes, roughness under a sliding
tip), so one object keeps its timbre over all its strokes (van den Doel et al. 2001, "FoleyAutomatic").
"""

import dataclasses

import numpy as np
from scipy import signal

from data_pipelines.builders.drumstick.motion import Tip
from data_pipelines.builders.drumstick.scene import Scene, Stroke

_TOUCHDOWN = 0.4  # a scratch begins with a strike of this part of its strength
_SPOT_WAVES = 25.0  # rad/m: how fast a mode's gain changes over the surface


@dataclasses.dataclass(frozen=True)
class Body:
  """Modes of one object.

  Attributes:
    frequency: Hz [K].
    decay: 1/s [K].
    gain: [K], of unit norm.
    wave, phase: wave vectors [K, 2] rad/m and phases [K] rad, which make the gains depend on the spot struck.
  """

  frequency: np.ndarray
  decay: np.ndarray
  gain: np.ndarray
  wave: np.ndarray
  phase: np.ndarray

  def gains_at(self, spot: np.ndarray) -> np.ndarray:
    """Gains [K] for a strike at `spot` [2] m."""
    return self.gain * (0.75 + 0.4 * np.cos(self.wave @ spot + self.phase))


def render_sound(scene: Scene) -> np.ndarray:
  """The scene's sound, float32 [scene.samples] in [-1, 1]; sample 0 is the video's time zero."""
  rng = scene.rng("sound")
  tip = Tip(scene)
  body = draw_body(scene, rng)
  spots = [tip.position(np.array([s.time_s]))[0, :2] for s in scene.strokes]
  speed = _scratch_speed(scene, tip)
  roughness = _roughness(scene, speed, rng)
  dry = _modes(scene, body, spots, roughness) + _noise(scene, speed, roughness, rng) + _grains(scene, speed, rng)
  wet = _room(dry, scene, rng)
  wet *= rng.uniform(0.35, 0.85) / max(np.abs(wet).max(), 1e-6)
  return np.clip(wet + _background(scene, rng), -1, 1).astype(np.float32)


def draw_body(scene: Scene, rng: np.random.Generator) -> Body:
  """Modes of the scene's object: spacing, ringing and damping go with the material, the rest is the object's own."""
  sound = scene.row.sound
  count = sound.modes
  low = np.exp(rng.uniform(*np.log(sound.low_hz)))
  place = (np.arange(count) + np.concatenate([[0], rng.uniform(-0.4, 0.4, count - 1)])) / count
  frequency = low * (sound.high_hz / low) ** (place**0.85)
  ring_s = rng.uniform(*sound.ring_s) * (frequency / low) ** -sound.damping
  gain = np.exp(0.45 * rng.standard_normal(count)) * (1 + np.arange(count)) ** -0.35
  return Body(
    frequency=frequency,
    decay=np.log(1000) / ring_s,
    gain=gain / np.linalg.norm(gain),
    wave=rng.normal(0, _SPOT_WAVES, (count, 2)),
    phase=rng.uniform(0, 2 * np.pi, count),
  )


def contact_s(scene: Scene, strength: float) -> float:
  """Contact time: soft strikes stay longer on the surface, which takes the high modes away (after Hertz)."""
  return 1e-3 * scene.row.sound.contact_ms * strength**-0.4


def _impact(stroke: Stroke) -> float:
  return _TOUCHDOWN * stroke.strength if stroke.duration_s else stroke.strength


def _modes(scene: Scene, body: Body, spots: list[np.ndarray], roughness: np.ndarray) -> np.ndarray:
  pulses = [_pulse(scene, stroke) for stroke in scene.strokes]
  gains = [body.gains_at(spot) for spot in spots]
  total = np.zeros(scene.samples)
  for k in range(len(body.frequency)):
    # Scaled by the mode's response to noise, so that long-ringing objects are scratched no louder than others.
    slide = 0.3 * np.sqrt(body.decay[k] / scene.sample_rate) * scene.row.sound.scratch * body.gain[k]
    force = slide * roughness
    for (start, pulse), gain in zip(pulses, gains, strict=True):
      force[start : start + len(pulse)] += gain[k] * pulse
    angle = 2 * np.pi * body.frequency[k] / scene.sample_rate
    radius = np.exp(-body.decay[k] / scene.sample_rate)
    total += signal.lfilter([np.sin(angle)], [1, -2 * radius * np.cos(angle), radius**2], force)
  return total


def _pulse(scene: Scene, stroke: Stroke) -> tuple[int, np.ndarray]:
  """First sample and samples of a strike's force: a half sine that begins at the exact instant, unit area."""
  length = contact_s(scene, _impact(stroke)) * scene.sample_rate
  at = stroke.time_s * scene.sample_rate
  start = int(np.ceil(at))
  phase = (np.arange(start, int(np.ceil(at + length))) - at) / length
  pulse = np.sin(np.pi * phase)
  return start, _impact(stroke) * pulse / max(pulse.sum(), 1e-6)


def _noise(scene: Scene, speed: np.ndarray, roughness: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """The broadband part of every contact; hard strikes are brighter than soft ones."""
  sound = scene.row.sound
  soft, hard = np.zeros((2, scene.samples))
  for stroke in scene.strokes:
    level = _impact(stroke)
    start, envelope = _burst(scene, stroke.time_s, sound.noise_s * rng.uniform(0.8, 1.25))
    burst = envelope * rng.standard_normal(len(envelope))
    soft[start : start + len(burst)] += level * burst
    hard[start : start + len(burst)] += level**1.7 * burst
  slide = 0.3 * sound.scratch * roughness
  low, high = sound.noise_hz
  middle = np.sqrt(low * high)
  struck = _band(soft + hard * 0.3, low, middle, scene) + _band(hard, middle, high, scene)
  return 0.6 * sound.noise * struck + 0.5 * _band(slide, low, high, scene)


def _burst(scene: Scene, time_s: float, decay_s: float) -> tuple[int, np.ndarray]:
  """First sample and envelope of a burst of noise: up within half a millisecond, then exponential."""
  start = int(np.ceil(time_s * scene.sample_rate))
  stop = min(scene.samples, start + int(7 * decay_s * scene.sample_rate) + 8)
  elapsed = np.arange(start, stop) / scene.sample_rate - time_s
  return start, np.minimum(1, elapsed / 5e-4) * np.exp(-elapsed / decay_s)


def _scratch_speed(scene: Scene, tip: Tip) -> np.ndarray:
  """Speed of the tip along the surface, m/s [samples]; zero where it does not touch."""
  speed = np.zeros(scene.samples)
  for stroke in scene.strokes:
    start, stop = (int(np.ceil(t * scene.sample_rate)) for t in (stroke.time_s, stroke.end_s))
    speed[start:stop] = tip.slide_speed(np.arange(start, stop) / scene.sample_rate)
  return speed


def _roughness(scene: Scene, speed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Force of the surface's bumps on the tip: a fixed random profile read along the path, brighter as it goes faster."""
  travelled = np.cumsum(speed) / scene.sample_rate / (1e-3 * scene.row.sound.rough_mm)
  profile = rng.standard_normal(int(travelled[-1]) + 2)
  return speed * np.interp(travelled, np.arange(len(profile)), profile)


def _grains(scene: Scene, speed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Pebbles, crackles or bubbles: short decaying sinusoids after a strike and along a scratch."""
  sound = scene.row.sound
  total = np.zeros(scene.samples)
  if not sound.grains:
    return total
  for stroke in scene.strokes:
    for time_s, level in _grain_times(scene, stroke, speed, rng):
      start = int(np.ceil(time_s * scene.sample_rate))
      grain = level * _grain(scene, rng)[: max(0, scene.samples - start)]
      total[start : start + len(grain)] += grain
  return total


def _grain_times(scene: Scene, stroke: Stroke, speed: np.ndarray, rng: np.random.Generator) -> list[tuple]:
  """(time, level) of the grains that a stroke sets off."""
  sound = scene.row.sound
  level = np.exp(0.6 * rng.standard_normal(400)) * 0.3 * stroke.strength
  if not stroke.duration_s:
    count = min(400, rng.poisson(sound.grains * (0.3 + 0.7 * stroke.strength)))
    delay = rng.exponential(sound.scatter_s / 2, count)
    return list(zip(stroke.time_s + delay, level, strict=False))
  count = min(400, rng.poisson(2.5 * sound.grains * stroke.duration_s * (0.5 + stroke.strength)))
  start, stop = (int(t * scene.sample_rate) for t in (stroke.time_s, stroke.end_s))
  travelled = np.cumsum(speed[start:stop])
  where = np.searchsorted(travelled, rng.uniform(0, travelled[-1], count))
  return list(zip((start + where) / scene.sample_rate, 0.4 * level, strict=False))


def _grain(scene: Scene, rng: np.random.Generator) -> np.ndarray:
  sound = scene.row.sound
  decay_s = sound.grain_s * rng.uniform(0.6, 1.5)
  elapsed = np.arange(int(6 * decay_s * scene.sample_rate)) / scene.sample_rate
  frequency = np.exp(rng.uniform(*np.log(sound.grain_hz)))
  cycles = frequency * elapsed * (1 + sound.chirp * elapsed / decay_s / 2)
  return np.exp(-elapsed / decay_s) * np.sin(2 * np.pi * cycles)


def _band(noise: np.ndarray, low: float, high: float, scene: Scene) -> np.ndarray:
  """`noise` in a band, at the power per octave that white noise has at 44.1 kHz."""
  high = min(high, 0.47 * scene.sample_rate)
  sos = signal.butter(2, (low, high), "bandpass", fs=scene.sample_rate, output="sos")
  return signal.sosfilt(sos, noise) * np.sqrt(0.5 * scene.sample_rate / (high - low)) * 0.5


def _room(dry: np.ndarray, scene: Scene, rng: np.random.Generator) -> np.ndarray:
  """Direct sound, a few early reflections and a decaying tail."""
  tail_s, level = rng.uniform(0.08, 0.4), 10 ** (rng.uniform(-24, -12) / 20)
  elapsed = np.arange(int(tail_s * scene.sample_rate)) / scene.sample_rate
  response = rng.standard_normal(len(elapsed)) * np.exp(-np.log(1000) * elapsed / tail_s)
  response *= (elapsed > 0.004) / max(np.linalg.norm(response), 1e-6)
  response = level * signal.lfilter([0.5], [1, -0.5], response)
  response[0] = 1
  for _ in range(4):
    response[int(rng.uniform(0.002, 0.02) * scene.sample_rate)] += level * rng.uniform(-1, 1)
  return signal.oaconvolve(dry, response)[: len(dry)]


def _background(scene: Scene, rng: np.random.Generator) -> np.ndarray:
  """Pink-like noise at a quiet level drawn once per video."""
  noise = signal.lfilter([1], [1, -rng.uniform(0.6, 0.97)], rng.standard_normal(scene.samples))
  noise *= 10 ** (rng.uniform(-65, -47) / 20) / np.sqrt(np.mean(noise**2))
  return noise
