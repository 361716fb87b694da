"""Frames of a scene, from the still, the arm, what the thing does, and the camera."""

from collections.abc import Iterator

import cv2
import numpy as np

from data_pipelines.builders.drumstick.motion import Tip
from data_pipelines.builders.drumstick.picture.arm import Arm, Shadow
from data_pipelines.builders.drumstick.picture.bends import Dents, Rings, Shifts
from data_pipelines.builders.drumstick.picture.camera import Camera, Light, contacts, draw_camera, draw_light
from data_pipelines.builders.drumstick.picture.clutter import add_clutter
from data_pipelines.builders.drumstick.picture.distractors import draw_distractors
from data_pipelines.builders.drumstick.picture.pieces import Pieces
from data_pipelines.builders.drumstick.picture.relief import draw_relief
from data_pipelines.builders.drumstick.picture.sensor import Sensor
from data_pipelines.builders.drumstick.picture.still import Still, render_still
from data_pipelines.builders.drumstick.scene import Scene


class Stage:
  """All that a video's picture is made of, each part drawn from its own child of the scene's stream."""

  def __init__(self, scene: Scene):
    view, light, arm, relief_, clutter, still, others, sensor, reaction = scene.rng("picture").spawn(9)
    self.scene, self.tip = scene, Tip(scene)
    spots = contacts(scene, self.tip)
    self.camera: Camera = draw_camera(spots, view)
    self.light: Light = draw_light(self.camera, light)
    self.arm = Arm(scene, self.tip, self.camera, self.light, arm)
    relief = draw_relief(scene.thing, relief_)
    self.clutter = add_clutter(relief, scene.thing, self.camera, self._keep(spots), clutter)
    self.still: Still = render_still(relief, self.camera, self.light, scene.thing.shape == "ground", still)
    self.arm.make_pictures(self.still.exposure, arm)
    self.is_mirror = self.still.mirror.max() > 0.05
    self.shadow = Shadow(self.still.world, self.light, self.arm.radius)
    self.distractors = draw_distractors(self.camera, self.light, self.still.exposure, others)
    self.sensor = Sensor(sensor)
    self.bends, self.pieces = _draw_reaction(self, reaction)

  def _keep(self, spots: np.ndarray) -> np.ndarray:
    """Points that clutter must leave free: contacts, and stick and hand at them, [K, 3] m."""
    end, grip, _, _ = self.arm.points(np.array([s.time_s for s in self.scene.strokes] or [0.0]))
    between = end[:, None] + np.linspace(0.1, 1, 6)[None, :, None] * (grip - end)[:, None]
    return np.concatenate([spots, between.reshape(-1, 3)[:: max(1, len(end) // 8)]])


def _draw_reaction(stage: Stage, rng: np.random.Generator) -> tuple[list, Pieces | None]:
  """What bends the picture of the thing, and what flies off it."""
  scene, tip, still, camera, light = stage.scene, stage.tip, stage.still, stage.camera, stage.light
  reaction = scene.thing.reaction
  bends = []
  if reaction in ("deform", "scatter"):
    bends.append(Dents(scene, tip, still, camera, light, rng))
  if reaction == "rigid-motion":
    bends.append(Shifts(scene, tip, still, camera, rng))
  if reaction == "splash":
    bends.append(Rings(scene, tip, still, camera, rng))
  pieces = Pieces(scene, tip, still, camera, light, rng) if reaction in ("scatter", "splash") else None
  return bends, pieces


def render_frames(scene: Scene) -> Iterator[np.ndarray]:
  """Frames uint8 [HEIGHT, WIDTH, 3] RGB; frame k shows the scene at k / fps."""
  stage = Stage(scene)
  lit, dim = stage.still.lit.copy(), stage.still.dim.copy()
  for k in range(scene.frames):
    time_s = k / float(scene.fps)
    canvas = compose(stage, lit, dim, time_s)
    gain = float(np.prod([other.gain(time_s) for other in stage.distractors]))
    yield stage.sensor.frame(canvas, time_s, gain, k)


def compose(stage: Stage, lit: np.ndarray, dim: np.ndarray, time_s: float) -> np.ndarray:
  """The canvas at a time, uint8 [rows, columns, 3]; what stays for good is left in the stills `lit` and `dim`.

  Times must not decrease from call to call.
  """
  exposure_s = stage.sensor.shutter / float(stage.scene.fps)
  for bend in stage.bends:
    bend.settle(lit, dim, time_s)
  if stage.pieces:
    stage.pieces.settle(lit, dim, time_s)
  times = stage.arm.exposed(time_s - exposure_s / 2, exposure_s)
  canvas = _light_up(stage, lit, dim, times, time_s)
  if stage.is_mirror:
    stage.arm.paint_mirrored(canvas, times, stage.still.mirror)
  for bend in stage.bends:
    bend.paint(canvas, time_s)
  for other in stage.distractors:
    other.paint(canvas, time_s)
  if stage.pieces:
    stage.pieces.paint(canvas, time_s, exposure_s)
  stage.arm.paint(canvas, times)
  return canvas


def _light_up(stage: Stage, lit: np.ndarray, dim: np.ndarray, times: np.ndarray, time_s: float) -> np.ndarray:
  """The still with the shadows of all that moves."""
  cover = stage.shadow.cover(stage.arm.points(times))
  for other in stage.distractors:
    cover = other.shade(cover, time_s)
  if stage.pieces:
    stage.pieces.shade(cover, time_s)
  lamp = cv2.multiply(cv2.subtract(lit, dim), cv2.merge([cover] * 3), scale=1 / 255)
  return cv2.subtract(lit, lamp)
