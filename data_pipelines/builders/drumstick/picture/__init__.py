"""Picture of a scene: what a webcam would see of a hand that strikes a thing with a drumstick."""

from data_pipelines.builders.drumstick.picture.camera import HEIGHT, WIDTH
from data_pipelines.builders.drumstick.picture.frames import render_frames

__all__ = ["HEIGHT", "WIDTH", "render_frames"]
