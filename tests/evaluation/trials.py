"""A small test split that tests share."""

import shutil

from data_pipelines.builders import protocol
from data_pipelines.builders.drumstick.scene import draw_scene


def made(world, directory):
  """A copy of the prepared `world`, less its videos, with trials."""
  shutil.copytree(world, directory, ignore=shutil.ignore_patterns("videos"))
  scenes = [draw_scene("train", 0, index) for index in range(4)]
  videos = {scene.name: (scene.duration_s, scene.events()) for scene in scenes}
  protocol.write_protocol(directory, protocol.draw_protocol(videos, 0, 2.0), videos, 2.0)
  return directory
