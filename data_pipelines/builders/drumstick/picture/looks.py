"""How each material looks: patterns with continuous ranges of colour, relief and gloss. Sets share no drawn value."""

import dataclasses
from collections.abc import Callable

import numpy as np

from data_pipelines.builders.drumstick.picture import outdoors, textures
from data_pipelines.builders.drumstick.picture.noise import Range, dull


@dataclasses.dataclass(frozen=True)
class Style:
  """One way in which a material comes; each value is drawn once per video.

  Attributes:
    pattern: of `textures`.
    hue, saturation, value: of the main colour; hue in turns.
    relief: m per unit of the pattern's relief.
    gloss: mirror reflection seen straight on, 0 to 1.
    rough: blur of what it reflects, 0 to 1.
    metal: 1 where the reflection takes the surface's colour.
    clear: part of what lies below that shows through.
    weight: how often it is drawn, against the material's other styles.
  """

  pattern: Callable
  hue: Range = (0.0, 1.0)
  saturation: Range = (0.0, 0.7)
  value: Range = (0.15, 0.95)
  relief: Range = (0.0, 0.0003)
  gloss: Range = (0.0, 0.04)
  rough: Range = (0.5, 1.0)
  metal: float = 0.0
  clear: Range = (0.0, 0.0)
  weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class Look:
  """A patch of a surface: albedo float32 [n, n, 3] sRGB in 0..1, relief [n, n] m, the rest as in Style."""

  albedo: np.ndarray
  relief: np.ndarray
  gloss: float
  rough: float
  metal: float
  clear: float


_EARTH = {"hue": (0.02, 0.14), "saturation": (0.08, 0.6), "value": (0.15, 0.7)}
_GREY = {"hue": (0.0, 1.0), "saturation": (0.0, 0.16), "value": (0.2, 0.9)}
_GLASSY = {"gloss": (0.05, 0.2), "rough": (0.0, 0.25)}

LOOKS: dict[str, tuple[Style, ...]] = {
  "carpet": (Style(textures.carpet, value=(0.12, 0.8), relief=(0.0005, 0.002), gloss=(0, 0.01)),),
  "ceramic": (Style(textures.glaze, saturation=(0, 0.75), value=(0.2, 1.0), **_GLASSY),),
  "cloth": (Style(textures.cloth, saturation=(0, 0.85), relief=(0.002, 0.012), gloss=(0, 0.015)),),
  "dirt": (Style(outdoors.soil, **_EARTH, relief=(0.001, 0.004), gloss=(0, 0.02)),),
  "drywall": (
    Style(textures.wall, saturation=(0, 0.25), value=(0.6, 0.98), relief=(0, 0.0003)),
    Style(textures.wall, saturation=(0.1, 0.6), value=(0.3, 0.9), relief=(0, 0.0004), weight=0.5),
  ),
  "glass": (
    Style(textures.plain, saturation=(0, 0.4), value=(0.5, 1), relief=(0, 0.0004), clear=(0.6, 0.92), **_GLASSY),
    Style(textures.plain, saturation=(0.2, 0.8), relief=(0, 0.0006), clear=(0.35, 0.7), weight=0.5, **_GLASSY),
    Style(textures.plain, saturation=(0, 0.25), value=(0.6, 0.95), clear=(0.15, 0.45), gloss=(0.03, 0.07), weight=0.4),
  ),
  "grass": (Style(outdoors.grass, hue=(0.14, 0.38), saturation=(0.25, 0.8), value=(0.25, 0.8), relief=(0.006, 0.018)),),
  "gravel": (Style(outdoors.gravel, hue=(0, 0.7), saturation=(0, 0.3), value=(0.2, 0.85), relief=(0.004, 0.012)),),
  "leaf": (
    Style(outdoors.leaves, hue=(0.01, 0.15), saturation=(0.3, 0.95), value=(0.25, 0.8), relief=(0.004, 0.012)),
    Style(outdoors.leaves, hue=(0.16, 0.36), saturation=(0.3, 0.9), value=(0.2, 0.7), relief=(0.004, 0.012)),
  ),
  "metal": (
    Style(textures.brushed, saturation=(0, 0.14), value=(0.5, 0.95), gloss=(0.55, 0.95), rough=(0.0, 0.5), metal=1.0),
    Style(textures.brushed, (0.04, 0.16), (0.2, 0.6), gloss=(0.4, 0.8), rough=(0.1, 0.7), metal=1.0, weight=0.3),
    Style(textures.rusty, relief=(0.0002, 0.0012), gloss=(0.02, 0.2), rough=(0.3, 1), weight=0.5),
    Style(textures.plain, relief=(0, 0.0008), gloss=(0.03, 0.1), rough=(0.1, 0.8), weight=0.3),
  ),
  "paper": (
    Style(textures.paper, saturation=(0, 0.12), value=(0.75, 1.0), relief=(0.001, 0.006)),
    Style(textures.paper, (0.05, 0.13), (0.2, 0.5), value=(0.45, 0.9), relief=(0.001, 0.006), weight=0.5),
    Style(textures.paper, saturation=(0.2, 0.7), value=(0.4, 1.0), relief=(0.001, 0.006), weight=0.4),
  ),
  "plastic": (
    Style(textures.moulded, saturation=(0, 0.95), relief=(0, 0.0012), gloss=(0.02, 0.09), rough=(0.1, 0.9)),
    Style(textures.moulded, value=(0.4, 1), relief=(0, 0.001), gloss=(0.03, 0.09), clear=(0.2, 0.6), weight=0.3),
  ),
  "plastic-bag": (
    Style(textures.bag, saturation=(0, 0.15), value=(0.7, 1), relief=(0.002, 0.007), clear=(0.1, 0.55), **_GLASSY),
    Style(textures.bag, saturation=(0, 0.9), relief=(0.002, 0.007), clear=(0, 0.3), gloss=(0.05, 0.14)),
  ),
  "rock": (
    Style(outdoors.stone, **_GREY, relief=(0.001, 0.006)),
    Style(outdoors.stone, hue=(0.0, 0.15), saturation=(0.05, 0.5), value=(0.2, 0.85), relief=(0.001, 0.006)),
  ),
  "tile": (Style(textures.tiles, saturation=(0, 0.7), relief=(0.0003, 0.0015), gloss=(0.01, 0.09), rough=(0, 0.8)),),
  "water": (
    Style(outdoors.water, (0.1, 0.65), (0.1, 0.8), (0.08, 0.6), (0.0004, 0.003), gloss=(0.25, 0.6), rough=(0, 0.1)),
  ),
  "wood": (
    Style(textures.wood, hue=(0.03, 0.12), saturation=(0.15, 0.7), value=(0.2, 0.95), gloss=(0, 0.07), rough=(0.1, 1)),
    Style(textures.wood, relief=(0, 0.0004), gloss=(0, 0.06), rough=(0.2, 1), weight=0.25),
  ),
}  # fmt: skip

# What things lie on, whatever they are made of.
BACKDROPS = (
  "wood",
  "wood",
  "drywall",
  "plastic",
  "rock",
  "cloth",
  "carpet",
  "tile",
  "dirt",
  "grass",
  "gravel",
  "metal",
)


def draw_look(material: str, rng: np.random.Generator, n: int, extent: float) -> Look:
  """A patch [n, n] of `extent` m of that material."""
  styles = LOOKS[material]
  weight = np.array([s.weight for s in styles])
  style = styles[rng.choice(len(styles), p=weight / weight.sum())]
  color = dull(rng, style.hue, style.saturation, style.value)
  albedo, relief = style.pattern(rng, n, extent, color)
  return Look(
    albedo=np.clip(albedo, 0.01, 1).astype(np.float32),
    relief=(np.float32(rng.uniform(*style.relief)) * relief).astype(np.float32),
    gloss=rng.uniform(*style.gloss),
    rough=rng.uniform(*style.rough),
    metal=style.metal,
    clear=rng.uniform(*style.clear),
  )
