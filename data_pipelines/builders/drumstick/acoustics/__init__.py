"""The sound of a scene: what is struck rings by physics, soft and loose things by models of our own."""

from data_pipelines.builders.drumstick.acoustics.sound import render_sound

__all__ = ["render_sound"]
