"""What rings: a set of damped modes that forces excite, the same over all strokes of a video.

How loud a mode is: a blow gives every mode of a body the same velocity but for its shape at the spot; its pressure is
its velocity times (ka)^2 / (1 + (ka)^2), about that of an oscillating sphere, with a half the body's size and
k = omega / c: what bends has two sides that cancel where it is small against the wavelength. Where the microphone is
adds a random factor per mode.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy import signal

from data_pipelines.builders.drumstick.acoustics import modes as mode_sets
from data_pipelines.builders.drumstick.acoustics.contact import Stick
from data_pipelines.builders.drumstick.acoustics.elastic import ELASTIC, Elastic, draw_support
from data_pipelines.builders.drumstick.acoustics.modes import Modes
from data_pipelines.builders.drumstick.acoustics.room import SPEED_OF_SOUND
from data_pipelines.builders.drumstick.things import Thing

_LOWEST_HZ, _HIGHEST = 40.0, 0.45  # of modes; the latter of the sample rate
_COUNT = 60
_SILENT = np.log(1e4)  # a mode is followed until it has fallen by 80 dB
_HELD = 70.0  # 1/s that a sliding stick damps
# Of a floor only a panel rings: a tile, a board, a wall between studs, a slab. Ranges of length and width, m.
_PANELS = {
  "tile": ((0.2, 0.6), (0.15, 0.45)),
  "wood": ((0.4, 1.2), (0.08, 0.2)),
  "drywall": ((0.5, 1.2), (0.38, 0.6)),
  "rock": ((0.4, 0.9), (0.3, 0.7)),
}


@dataclasses.dataclass(frozen=True)
class Body:
  """Damped modes.

  Attributes:
    frequency: damped, Hz [K].
    decay: 1/s [K].
    gain: [K].
    shape: as in `modes.Modes`.
  """

  frequency: np.ndarray
  decay: np.ndarray
  gain: np.ndarray
  shape: Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Touch:
  """One stroke's force: first sample, blow [N], slide [M], and the spot [2] m in the thing's axes."""

  start: int
  blow: np.ndarray
  slide: np.ndarray
  spot: np.ndarray


def rigid_body(thing: Thing, elastic: Elastic, rng: np.random.Generator, rate: int) -> Body:
  """The modes of a rigid thing, slightly detuned by its imperfections."""
  modes, size = _modes_of(thing, elastic, rng, _HIGHEST * rate)
  modes = mode_sets.thinned(modes, _COUNT)
  omega = modes.omega * np.exp(rng.uniform(0.001, 0.008) * rng.standard_normal(len(modes.omega)))
  return damped(dataclasses.replace(modes, omega=omega), elastic, draw_support(thing.shape, rng), size, rng, rate)


def stick_body(stick: Stick, rng: np.random.Generator, rate: int) -> Body:
  """The stick's own modes, damped by the hand that holds it."""
  wood = ELASTIC["wood"]
  modes = mode_sets.beam_modes(wood, stick.length, stick.thickness, 6000)
  return damped(modes, wood, rng.uniform(60, 250), 0.12, rng, rate)


def damped(modes: Modes, elastic: Elastic, support: float, size: float, rng: np.random.Generator, rate: int) -> Body:
  """Those modes that are heard, with the elastic body's damping; `size` in m is what radiates."""
  decay = elastic.decay(modes.omega, support)
  keep = np.flatnonzero((modes.omega > 2 * np.pi * _LOWEST_HZ) & (modes.omega > 1.5 * decay))
  keep = keep[modes.omega[keep] < 2 * np.pi * _HIGHEST * rate]
  modes, decay = modes.take(keep), decay[keep]
  across = modes.omega / SPEED_OF_SOUND * size / 2
  gain = modes.weight * across**2 / (1 + across**2) * np.exp(0.45 * rng.standard_normal(len(keep)))
  return Body(
    frequency=np.sqrt(modes.omega**2 - decay**2) / (2 * np.pi),
    decay=decay,
    gain=gain / max(np.linalg.norm(gain), 1e-9),
    shape=modes.shape,
  )


def levelled(body: Body, contact_s: float, level: float) -> Body:
  """The body as loud as `level` when blows of that duration excite it, but for a fifth of the difference in dB."""
  cycles = body.frequency * contact_s
  passed = np.abs(np.cos(np.pi * cycles) / np.where(np.abs(2 * cycles - 1) < 1e-3, 1e-3, 1 - 4 * cycles**2))
  heard = max(np.linalg.norm(body.gain * np.minimum(passed, 1)), 1e-3)
  return dataclasses.replace(body, gain=level * body.gain / heard**0.8)


def ring(body: Body, touches: list[Touch], rate: int, samples: int) -> np.ndarray:
  """Sound [samples] of a body under those forces."""
  total = np.zeros(samples)
  if not touches or not len(body.decay):
    return total
  shapes = np.stack([body.shape(touch.spot) for touch in touches])
  # The sliding stick damps what it excites: noise excites a mode in proportion to 1 / sqrt(decay).
  held = np.sqrt(body.decay / (body.decay + _HELD) * 2 * body.decay / rate)
  for k, (frequency, decay) in enumerate(zip(body.frequency, body.decay, strict=True)):
    angle, radius = 2 * np.pi * frequency / rate, np.exp(-decay / rate)
    for first, last, group in _stretches(touches, int(_SILENT / decay * rate), samples):
      force = np.zeros(last - first)
      for i in group:
        _add(force, touches[i].start - first, shapes[i, k] * body.gain[k] * touches[i].blow)
        _add(force, touches[i].start - first, shapes[i, k] * body.gain[k] * held[k] * touches[i].slide)
      total[first:last] += signal.lfilter([np.sin(angle)], [1, -2 * radius * np.cos(angle), radius**2], force)
  return total


def _stretches(touches: list[Touch], tail: int, samples: int) -> list[tuple[int, int, list[int]]]:
  """Parts of the video, first and last sample, in which a mode rings, with the touches that excite it there."""
  found = []
  for i, touch in enumerate(touches):
    last = min(samples, touch.start + max(len(touch.blow), len(touch.slide)) + tail)
    if found and found[-1][1] > touch.start:
      found[-1] = (found[-1][0], max(found[-1][1], last), [*found[-1][2], i])
    elif touch.start < samples:
      found.append((touch.start, last, [i]))
  return found


def _add(total: np.ndarray, start: int, part: np.ndarray) -> None:
  part = part[: max(0, len(total) - start)]
  total[start : start + len(part)] += part


def _modes_of(thing: Thing, elastic: Elastic, rng: np.random.Generator, top_hz: float) -> tuple[Modes, float]:
  """Modes and radiating size, m."""
  size = float(np.sqrt(thing.length * thing.width))
  if thing.shape == "ground":
    return _panel(thing, elastic, rng, top_hz)
  if thing.shape == "bar":
    return mode_sets.beam_modes(elastic, thing.length, thing.wall, top_hz), thing.width
  if thing.shape == "bowl":
    turn = rng.uniform(0, np.pi)
    return mode_sets.ring_modes(elastic, thing.length / 2, thing.wall, thing.height, top_hz, turn=turn), size
  if thing.shape == "block" and thing.wall > thing.height / 2:
    along = mode_sets.beam_modes(elastic, thing.length, thing.wall, top_hz, thick=True)
    across = mode_sets.beam_modes(elastic, thing.width, thing.wall, top_hz, thick=True, axis=1)
    return mode_sets.joined([along, across]), size
  # A plate, or the top of a hollow block.
  return mode_sets.plate_modes(elastic, thing.length, thing.width, thing.wall, top_hz), size


def _panel(thing: Thing, elastic: Elastic, rng: np.random.Generator, top_hz: float) -> tuple[Modes, float]:
  """The panel of a floor around the middle of the scene; what lies beyond its edge is the next one, alike."""
  length, width = (rng.uniform(*side) for side in _PANELS[thing.material])
  modes = mode_sets.plate_modes(elastic, length, width, thing.wall, top_hz)
  sides = np.array([length, width])
  offset = rng.uniform(-0.3, 0.3, 2) * sides
  shifted = Modes(modes.omega, lambda spot: modes.shape((spot + offset + sides / 2) % sides - sides / 2), modes.weight)
  return shifted, float(np.sqrt(length * width))
