"""What is struck: a thing of some material, shape and size, which sound and picture share.

Coordinates, m: x to the right, y away from the camera, z up; the origin is the middle of the thing's top, so that the
stick meets flat things at z = 0 and what they lie on is at z = -height.
"""

import dataclasses

import numpy as np

from data_pipelines.builders.drumstick.materials import MATERIALS, Form

# plate, bar, block: boxes; bowl: upside down; ground: the floor itself; sheet: soft and flat; heap: a mound; basin: a
# vessel that is full to its rim.
SHAPES = ("plate", "bar", "block", "bowl", "ground", "sheet", "heap", "basin")
_FIXED = ("ground", "basin")
# Part of its half sides in which a thing is struck, by shape.
_STRUCK = {"bowl": 0.35, "heap": 0.35, "bar": 0.8, "ground": 0.05}


@dataclasses.dataclass(frozen=True)
class Thing:
  """One object.

  Attributes:
    material: a key of `materials.MATERIALS`.
    shape: one of SHAPES.
    length, width, height, wall: m, as in `materials.Form`.
    heading: of its length, rad from the x axis.
    reaction: label of what it does when it is struck.
  """

  material: str
  shape: str
  length: float
  width: float
  height: float
  wall: float
  heading: float
  reaction: str

  @property
  def rebound(self) -> float:
    return MATERIALS[self.material].rebound

  def local(self, xy: np.ndarray) -> np.ndarray:
    """World [..., 2] to the thing's own axes [..., 2], m: along its length, along its width."""
    c, s = np.cos(self.heading), np.sin(self.heading)
    return xy @ np.array([[c, -s], [s, c]])

  def world(self, local: np.ndarray) -> np.ndarray:
    """The thing's own axes [..., 2] to the world's [..., 2]."""
    c, s = np.cos(self.heading), np.sin(self.heading)
    return local @ np.array([[c, s], [-s, c]])

  def top(self, xy: np.ndarray) -> np.ndarray:
    """Height z [...] m of its top at world [..., 2]: round for bowls and heaps, else 0 everywhere."""
    if self.shape not in ("bowl", "heap"):
      return np.zeros(np.shape(xy)[:-1])
    local = self.local(xy) * [2 / self.length, 2 / self.width]
    square = np.sum(local**2, axis=-1)
    # Both reach the ground at the rim; a bowl's side is steep there, a heap runs out.
    fall = 1 - np.sqrt(np.maximum(0, 1 - square)) if self.shape == "bowl" else 1 - np.maximum(0, 1 - square) ** 1.5
    return -self.height * fall

  def draw_spot(self, rng: np.random.Generator) -> np.ndarray:
    """Where it may be struck, world [3] m."""
    part = _STRUCK.get(self.shape, 0.6)
    half = np.minimum(np.array([self.length, self.width]) / 2 * part, 0.16)
    xy = self.world(rng.uniform(-half, half))
    return np.array([*xy, self.top(xy)])


def draw_thing(material: str, rng: np.random.Generator) -> Thing:
  """A thing of that material."""
  row = MATERIALS[material]
  form: Form = row.forms[rng.integers(len(row.forms))]
  reactions = [r for r in row.reactions if r != "rigid-motion" or form.shape not in _FIXED]
  length = rng.uniform(*form.length)
  return Thing(
    material=material,
    shape=form.shape,
    length=length,
    width=length * rng.uniform(*form.aspect),
    height=rng.uniform(*form.height),
    wall=rng.uniform(*form.wall),
    heading=rng.uniform(0, np.pi),
    reaction=reactions[rng.integers(len(reactions))],
  )
