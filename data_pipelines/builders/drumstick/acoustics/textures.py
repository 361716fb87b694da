"""What contacts with the 17 materials add to the ringing: all of it our own, set by what spectra, decay times and rates
should be and by measures of the real recordings; nobody has listened."""

import dataclasses
from typing import NamedTuple

import numpy as np

from data_pipelines.builders.drumstick.things import Thing

Range = tuple[float, float]


class Grains(NamedTuple):
  """Small events that a contact sets off; each range is drawn from once per video.

  Attributes:
    kind: "knock" (pebbles, clods, stems), "crackle" (paper, film, leaves) or "bubble".
    count: of a full strike; `per_m` along a scratch.
    hertz: of the lowest and of the highest of the grains' resonances; a bubble's follow from its radius instead.
    ring_s: until a grain has fallen to 1/e.
    spread_s: over which a strike's grains are spread.
    tail: exponent of the energies' distribution: the smaller, the more a few of them stand out.
    db: of the largest.
  """

  kind: str
  count: Range
  per_m: Range
  hertz: tuple[Range, Range]
  ring_s: Range
  spread_s: Range
  tail: Range
  db: Range


class Texture(NamedTuple):
  """One material; each range is drawn from once per video.

  Attributes:
    young: modulus under the stick's tip, Pa; of soft materials, the rigid ones have theirs in `elastic`.
    thump: frequency, Hz, and time to 1/e, s, and level, dB, of what gives way below: the thing, the table, the floor.
    noise_hz: lower and upper edge of the contact's noise.
    noise_s: until it has fallen to 1/e.
    noise_db: of a full strike.
    scrape_db: of a scratch's noise.
    rough: exponent of the power spectrum of the surface's slope; 0 is white, larger is smoother.
    patch_mm: size of the contact patch, which smooths the surface.
    grains: or None.
  """

  thump: tuple[Range, Range, Range]
  noise_hz: tuple[Range, Range]
  noise_s: Range
  noise_db: Range
  scrape_db: Range
  rough: Range
  patch_mm: Range
  young: Range = (0.0, 0.0)
  grains: Grains | None = None


def _rigid(noise_hz, noise_s, noise_db, scrape_db, rough=(0.0, 1.2), patch_mm=(0.06, 0.25), thump_db=(-28, -8)):
  return Texture(((60, 350), (0.008, 0.04), thump_db), noise_hz, noise_s, noise_db, scrape_db, rough, patch_mm)


TEXTURES = {
  "ceramic": _rigid(((800, 3000), (6000, 16000)), (0.0008, 0.004), (-24, -8), (-26, -10)),
  "drywall": _rigid(
    ((150, 600), (2500, 7000)), (0.002, 0.008), (-16, -4), (-16, -4), (0.2, 1.5), (0.15, 0.5), (-14, 0)
  ),
  "glass": _rigid(((1000, 4000), (7000, 17000)), (0.0006, 0.003), (-28, -10), (-34, -16), (0.4, 1.8)),
  "metal": _rigid(((600, 3000), (6000, 17000)), (0.0006, 0.005), (-24, -3), (-28, -10)),
  "plastic": _rigid(((300, 1500), (4000, 12000)), (0.001, 0.006), (-20, -6), (-22, -8)),
  "rock": _rigid(((800, 2500), (5000, 15000)), (0.001, 0.006), (-12, -1), (-14, -1), (0.0, 0.8)),
  "tile": _rigid(((600, 2500), (5000, 15000)), (0.0008, 0.005), (-18, -4), (-24, -8)),
  "wood": _rigid(((200, 1000), (3000, 10000)), (0.001, 0.006), (-18, -5), (-18, -4), (0.2, 1.5), (0.12, 0.4)),
  "carpet": Texture(
    ((50, 220), (0.010, 0.045), (-4, 4)),
    ((80, 400), (1200, 6000)), (0.006, 0.030), (-14, -2), (-8, 4), (0.4, 1.5), (0.5, 2.0), (3e5, 2e7),
  ),
  "cloth": Texture(
    ((50, 260), (0.008, 0.035), (-8, 2)),
    ((120, 700), (1500, 8000)), (0.012, 0.060), (-14, 0), (-6, 6), (0.2, 1.2), (0.3, 1.5), (2e5, 1e7),
  ),
  "dirt": Texture(
    ((60, 260), (0.006, 0.030), (-4, 4)),
    ((120, 600), (1500, 7000)), (0.005, 0.025), (-12, 0), (-10, 4), (0.0, 1.0), (0.4, 1.5), (1e6, 6e7),
    Grains("knock", (8, 60), (150, 900), ((300, 1200), (2000, 7000)), (0.0006, 0.003), (0.03, 0.12), (0.3, 0.8),
           (-4, 8)),
  ),
  "grass": Texture(
    ((60, 240), (0.006, 0.030), (-8, 3)),
    ((600, 2000), (5000, 13000)), (0.020, 0.080), (-12, 0), (-6, 6), (0.0, 0.8), (0.4, 1.5), (5e5, 3e7),
    Grains("crackle", (15, 90), (400, 2000), ((1500, 3500), (5000, 12000)), (0.0003, 0.001), (0.03, 0.12), (0.6, 1.2),
           (-2, 8)),
  ),
  "gravel": Texture(
    ((80, 350), (0.004, 0.020), (-12, 0)),
    ((500, 2000), (5000, 13000)), (0.002, 0.012), (-18, -5), (-22, -7), (0.0, 0.6), (0.3, 1.0), (1e8, 1e10),
    Grains("knock", (25, 140), (200, 1000), ((900, 2800), (4500, 11000)), (0.0004, 0.002), (0.04, 0.16), (0.15, 0.5),
           (4, 14)),
  ),
  "leaf": Texture(
    ((70, 300), (0.004, 0.020), (-14, 0)),
    ((800, 2500), (6000, 15000)), (0.010, 0.050), (-20, -6), (-18, -4), (0.0, 0.6), (0.3, 1.0), (1e6, 6e7),
    Grains("crackle", (20, 120), (500, 2500), ((700, 2500), (5000, 13000)), (0.0003, 0.0016), (0.04, 0.18), (0.25, 0.7),
           (2, 12)),
  ),
  "paper": Texture(
    ((120, 700), (0.005, 0.025), (-10, 2)),
    ((400, 1500), (4000, 13000)), (0.004, 0.025), (-12, 0), (-12, 2), (0.0, 0.8), (0.15, 0.6), (1e7, 1e9),
    Grains("crackle", (6, 60), (60, 600), ((600, 2000), (4000, 11000)), (0.0004, 0.002), (0.02, 0.14), (0.2, 0.6),
           (-2, 11)),
  ),
  "plastic-bag": Texture(
    ((90, 500), (0.004, 0.020), (-14, 0)),
    ((900, 3000), (6000, 16000)), (0.006, 0.040), (-16, -4), (-18, -4), (0.0, 0.6), (0.15, 0.8), (3e6, 2e8),
    Grains("crackle", (25, 160), (300, 2000), ((1200, 3500), (6000, 15000)), (0.0002, 0.0012), (0.03, 0.22),
           (0.15, 0.5), (2, 12)),
  ),
  "water": Texture(
    ((90, 500), (0.008, 0.040), (-12, 0)),
    ((300, 1500), (3000, 12000)), (0.012, 0.070), (-15, -3), (-18, -4), (0.6, 1.8), (1.0, 4.0), (2e6, 6e7),
    Grains("bubble", (12, 50), (60, 240), ((400, 900), (2500, 6000)), (0.01, 0.02), (0.05, 0.22), (0.4, 0.8), (3, 12)),
  ),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Skin:
  """One video's numbers of a Texture and its Grains, levels as amplitudes; the fields' meanings are theirs."""

  young: float
  thump: tuple[float, float, float]
  noise_hz: tuple[float, float]
  noise_s: float
  noise: float
  scrape: float
  rough: float
  patch_m: float
  grains: Grains | None


def draw_skin(thing: Thing, rng: np.random.Generator) -> Skin:
  """The contact sounds of that thing: duller where there is more of it."""
  row = TEXTURES[thing.material]
  dull = (0.35 / np.clip(thing.length, 0.1, 0.9)) ** rng.uniform(0.0, 0.5)
  grains = row.grains and row.grains._replace(
    count=_log(row.grains.count, rng),
    per_m=_log(row.grains.per_m, rng),
    hertz=tuple(dull * _log(edge, rng) for edge in row.grains.hertz),
    ring_s=_log(row.grains.ring_s, rng),
    spread_s=_log(row.grains.spread_s, rng),
    tail=_within(row.grains.tail, rng),
    db=_within(row.grains.db, rng),
  )
  return Skin(
    young=_log(row.young, rng) if row.young[0] else 0.0,
    thump=(dull * _log(row.thump[0], rng), _log(row.thump[1], rng), _level(row.thump[2], rng)),
    noise_hz=tuple(dull * _log(edge, rng) for edge in row.noise_hz),
    noise_s=_log(row.noise_s, rng),
    noise=_level(row.noise_db, rng),
    scrape=_level(row.scrape_db, rng),
    rough=_within(row.rough, rng),
    patch_m=1e-3 * _log(row.patch_mm, rng),
    grains=grains,
  )


def _within(edges: Range, rng: np.random.Generator) -> float:
  """From the range's middle more often than from its ends."""
  return edges[0] + (edges[1] - edges[0]) * rng.beta(2.5, 2.5)


def _log(edges: Range, rng: np.random.Generator) -> float:
  return float(np.exp(_within(np.log(edges), rng)))


def _level(edges_db: Range, rng: np.random.Generator) -> float:
  return float(10 ** (_within(edges_db, rng) / 20))
