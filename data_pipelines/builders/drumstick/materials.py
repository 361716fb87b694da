"""The 17 materials of Greatest Hits: the things that come in each, how they react, how the stick bounces off.

How they sound is in `acoustics/`, how they look in `picture/`.
"""

import dataclasses

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Form:
  """Things of one shape; each size is drawn once per video.

  Attributes:
    shape: one of `things.SHAPES`.
    length: of the longer side, or the diameter of a bowl or heap, m.
    aspect: width over length.
    height: from what it lies on to its top, m.
    wall: thickness of what vibrates, m; 0 where nothing does.
  """

  shape: str
  length: Range
  aspect: Range
  height: Range
  wall: Range = (0.0, 0.0)


@dataclasses.dataclass(frozen=True)
class Material:
  """One row.

  Attributes:
    forms: one is drawn per video.
    reactions: labels, one is drawn per video; a thing that cannot be moved is never in `rigid-motion`.
    rebound: speed of the stick's tip after a strike over that before it.
  """

  forms: tuple[Form, ...]
  reactions: tuple[str, ...]
  rebound: float


_FLOOR = Form("ground", (1.6, 2.4), (0.8, 1.0), (0.0, 0.0))


def _floor(wall: Range) -> Form:
  return dataclasses.replace(_FLOOR, wall=wall)


MATERIALS = {
  "carpet": Material((_FLOOR, Form("sheet", (0.4, 0.9), (0.5, 1.0), (0.006, 0.015))), ("deform", "static"), 0.12),
  "ceramic": Material(
    (
      Form("bowl", (0.09, 0.22), (1.0, 1.0), (0.04, 0.09), (0.003, 0.007)),
      Form("plate", (0.15, 0.28), (0.8, 1.0), (0.006, 0.03), (0.004, 0.008)),
    ),
    ("static", "rigid-motion"),
    0.42,
  ),
  "cloth": Material(
    (Form("sheet", (0.3, 0.8), (0.4, 1.0), (0.004, 0.02)), Form("heap", (0.2, 0.4), (0.6, 1.0), (0.04, 0.1))),
    ("deform",),
    0.13,
  ),
  "dirt": Material((_FLOOR, Form("heap", (0.3, 0.6), (0.7, 1.0), (0.03, 0.08))), ("scatter", "deform", "static"), 0.10),
  "drywall": Material(
    (
      Form("plate", (0.35, 0.8), (0.5, 1.0), (0.01, 0.1), (0.009, 0.013)),
      _floor((0.009, 0.013)),
    ),
    ("static",),
    0.30,
  ),
  "glass": Material(
    (
      Form("bowl", (0.06, 0.18), (1.0, 1.0), (0.05, 0.11), (0.002, 0.005)),
      Form("plate", (0.15, 0.45), (0.5, 1.0), (0.005, 0.02), (0.003, 0.008)),
    ),
    ("static", "rigid-motion"),
    0.45,
  ),
  "grass": Material((_FLOOR,), ("deform", "scatter"), 0.10),
  "gravel": Material((_FLOOR, Form("heap", (0.3, 0.6), (0.7, 1.0), (0.03, 0.07))), ("scatter", "static"), 0.18),
  "leaf": Material(
    (_FLOOR, Form("heap", (0.3, 0.6), (0.7, 1.0), (0.04, 0.1))), ("scatter", "deform", "rigid-motion"), 0.11
  ),
  "metal": Material(
    (
      Form("plate", (0.15, 0.45), (0.4, 1.0), (0.004, 0.04), (0.0012, 0.005)),
      Form("bar", (0.2, 0.5), (0.08, 0.16), (0.01, 0.04), (0.006, 0.02)),
      Form("bowl", (0.09, 0.26), (1.0, 1.0), (0.04, 0.1), (0.0009, 0.003)),
      Form("block", (0.08, 0.2), (0.5, 1.0), (0.03, 0.08), (0.03, 0.08)),
    ),
    ("static", "rigid-motion"),
    0.45,
  ),
  "paper": Material(
    (
      Form("sheet", (0.2, 0.45), (0.65, 0.8), (0.001, 0.03)),
      Form("heap", (0.12, 0.3), (0.7, 1.0), (0.05, 0.12)),
    ),
    ("deform", "rigid-motion"),
    0.22,
  ),
  "plastic": Material(
    (
      Form("bowl", (0.08, 0.24), (1.0, 1.0), (0.05, 0.12), (0.0015, 0.004)),
      Form("plate", (0.15, 0.4), (0.5, 1.0), (0.005, 0.06), (0.002, 0.005)),
      Form("block", (0.12, 0.3), (0.5, 0.9), (0.05, 0.12), (0.003, 0.006)),
    ),
    ("static", "rigid-motion", "deform"),
    0.38,
  ),
  "plastic-bag": Material(
    (Form("heap", (0.18, 0.4), (0.6, 1.0), (0.05, 0.12)), Form("sheet", (0.25, 0.5), (0.6, 1.0), (0.003, 0.02))),
    ("deform", "rigid-motion"),
    0.15,
  ),
  "rock": Material(
    (
      Form("block", (0.1, 0.35), (0.5, 1.0), (0.05, 0.14), (0.05, 0.14)),
      _floor((0.08, 0.2)),
    ),
    ("static",),
    0.42,
  ),
  "tile": Material(
    (_floor((0.006, 0.012)), Form("plate", (0.1, 0.35), (0.5, 1.0), (0.006, 0.012), (0.006, 0.012))),
    ("static", "rigid-motion"),
    0.42,
  ),
  "water": Material((_FLOOR, Form("basin", (0.25, 0.6), (0.6, 1.0), (0.05, 0.12))), ("splash",), 0.08),
  "wood": Material(
    (
      Form("plate", (0.2, 0.7), (0.3, 1.0), (0.01, 0.06), (0.006, 0.025)),
      Form("bar", (0.25, 0.6), (0.1, 0.2), (0.015, 0.05), (0.015, 0.05)),
      Form("block", (0.1, 0.3), (0.4, 0.9), (0.04, 0.12), (0.04, 0.12)),
      _floor((0.012, 0.025)),
    ),
    ("static", "rigid-motion"),
    0.35,
  ),
}
