"""The table of materials: how each one sounds, looks and reacts. A new material is a new row."""

import dataclasses

Range = tuple[float, float]
Color = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Sound:
  """What a strike of full strength excites. Ranges are drawn from once per video.

  Attributes:
    contact_ms: contact time of a full-strength strike; softer strikes last longer and sound duller.
    modes: number of damped modes of the object.
    low_hz: frequency of its lowest mode.
    high_hz: where its modes end.
    ring_s: time in which the lowest mode decays by 60 dB.
    damping: exponent by which that time falls with frequency (0: all ring alike).
    noise: level of the noise burst relative to the modes.
    noise_hz: its band.
    noise_s: its time constant.
    grains: mean number of grains (pebbles, crackles, bubbles) of a full-strength strike.
    grain_hz: range of their frequencies.
    grain_s: time constant of one grain.
    scatter_s: time over which they follow the strike.
    chirp: relative rise of a grain's frequency per time constant (bubbles).
    rough_mm: spacing of the surface's roughness, which sets a scratch's brightness.
    scratch: level of a scratch; the rows are set so that it peaks at about 0.45 of an equally strong strike.
  """

  contact_ms: float
  modes: int
  low_hz: Range
  high_hz: float
  ring_s: Range
  damping: float
  noise: float
  noise_hz: Range
  noise_s: float
  grains: int = 0
  grain_hz: Range = (1000.0, 4000.0)
  grain_s: float = 0.003
  scatter_s: float = 0.1
  chirp: float = 0.0
  rough_mm: float = 0.05
  scratch: float = 0.3


@dataclasses.dataclass(frozen=True)
class Look:
  """Appearance of the surface.

  Attributes:
    texture: name of a generator in `surface.TEXTURES`.
    colors: base colours (RGB) to choose from.
    contrast: strength of the texture.
    gloss: strength of the highlight, 0 to 1.
  """

  texture: str
  colors: tuple[Color, ...]
  contrast: float
  gloss: float


@dataclasses.dataclass(frozen=True)
class Material:
  """One row: sound, look, the reaction label of its events and the stick's rebound (0 to 1)."""

  sound: Sound
  look: Look
  reaction: str
  rebound: float


MATERIALS = {
  "wood": Material(
    Sound(0.7, 12, (170, 420), 5000, (0.16, 0.30), 0.95, 0.25, (300, 3000), 0.006, rough_mm=0.09, scratch=0.23),
    Look("wood", ((150, 105, 62), (112, 70, 40), (190, 150, 100), (90, 55, 35)), 0.30, 0.15),
    "static",
    0.35,
  ),
  "metal": Material(
    Sound(0.25, 26, (320, 800), 10500, (1.3, 2.4), 0.35, 0.12, (2000, 9000), 0.003, rough_mm=0.03, scratch=0.60),
    Look("brushed", ((165, 168, 172), (130, 135, 142), (185, 180, 170), (105, 108, 115)), 0.12, 0.55),
    "static",
    0.45,
  ),
  "glass": Material(
    Sound(0.22, 9, (1100, 2200), 10500, (0.55, 1.0), 0.45, 0.10, (3000, 9500), 0.002, rough_mm=0.025, scratch=0.35),
    Look("smooth", ((150, 190, 190), (170, 200, 215), (120, 165, 150)), 0.06, 0.85),
    "static",
    0.45,
  ),
  "ceramic": Material(
    Sound(0.28, 12, (650, 1300), 9000, (0.30, 0.50), 0.55, 0.15, (1500, 8000), 0.003, rough_mm=0.04, scratch=0.35),
    Look("smooth", ((225, 222, 212), (200, 120, 85), (70, 100, 150), (235, 235, 240)), 0.05, 0.6),
    "static",
    0.42,
  ),
  "plastic": Material(
    Sound(0.9, 8, (260, 620), 4000, (0.09, 0.16), 0.85, 0.30, (500, 3500), 0.008, rough_mm=0.07, scratch=0.19),
    Look("smooth", ((200, 40, 45), (40, 90, 190), (235, 190, 40), (60, 160, 80), (240, 240, 240)), 0.04, 0.4),
    "static",
    0.38,
  ),
  "rock": Material(
    Sound(0.25, 14, (1500, 2800), 9500, (0.05, 0.09), 0.5, 0.6, (1200, 8000), 0.004, rough_mm=0.06, scratch=0.26),
    Look("speckle", ((125, 122, 118), (150, 140, 125), (95, 95, 100)), 0.45, 0.05),
    "static",
    0.42,
  ),
  "tile": Material(
    Sound(0.24, 9, (900, 1700), 8000, (0.12, 0.20), 0.5, 0.25, (1500, 7000), 0.003, rough_mm=0.04, scratch=0.35),
    Look("tiles", ((220, 215, 205), (185, 200, 205), (170, 130, 100), (90, 110, 130)), 0.10, 0.45),
    "static",
    0.42,
  ),
  "carpet": Material(
    Sound(4.0, 4, (75, 130), 420, (0.10, 0.16), 0.6, 0.9, (90, 900), 0.018, rough_mm=0.20, scratch=0.20),
    Look("fuzz", ((130, 60, 60), (70, 85, 120), (140, 130, 110), (85, 105, 75)), 0.35, 0.0),
    "deform",
    0.12,
  ),
  "cloth": Material(
    Sound(3.0, 4, (110, 200), 600, (0.07, 0.11), 0.6, 1.2, (200, 2600), 0.022, rough_mm=0.10, scratch=0.30),
    Look("weave", ((190, 190, 200), (60, 70, 130), (170, 60, 90), (210, 180, 120)), 0.22, 0.0),
    "deform",
    0.15,
  ),
  "leaf": Material(
    Sound(2.0, 3, (150, 260), 700, (0.05, 0.08), 0.6, 0.8, (1800, 9000), 0.020, 45, (2500, 9000), 0.0012, 0.11,
          rough_mm=0.05, scratch=0.50),
    Look("leaves", ((95, 130, 50), (150, 105, 40), (120, 75, 35), (70, 110, 55)), 0.38, 0.05),
    "scatter",
    0.12,
  ),
  "gravel": Material(
    Sound(0.5, 5, (300, 600), 2000, (0.05, 0.08), 0.6, 0.7, (700, 6000), 0.010, 40, (1400, 6500), 0.0035, 0.09,
          rough_mm=0.10, scratch=0.40),
    Look("gravel", ((140, 135, 128), (165, 150, 130), (110, 108, 110)), 0.42, 0.0),
    "scatter",
    0.18,
  ),
  "paper": Material(
    Sound(1.4, 6, (190, 380), 1800, (0.06, 0.10), 0.7, 0.9, (900, 7500), 0.014, 10, (3000, 8000), 0.0010, 0.06,
          rough_mm=0.045, scratch=0.35),
    Look("lines", ((240, 238, 230), (225, 215, 190), (205, 175, 130)), 0.15, 0.02),
    "deform",
    0.22,
  ),
  "water": Material(
    Sound(3.0, 3, (120, 220), 500, (0.06, 0.10), 0.6, 0.7, (500, 5500), 0.045, 24, (500, 2400), 0.014, 0.16, 0.25,
          rough_mm=0.12, scratch=0.35),
    Look("ripples", ((55, 105, 135), (40, 80, 95), (85, 135, 150)), 0.35, 0.7),
    "splash",
    0.10,
  ),
}  # fmt: skip
