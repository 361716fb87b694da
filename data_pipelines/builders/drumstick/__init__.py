"""The procedural world: videos of a hand-held stick that hits or scratches a surface, with their events.

Everything is drawn from (split, seed, index): the same arguments give the same frames and sound.
"""

from data_pipelines.builders.drumstick.render import render_videos

__all__ = ["render_videos"]
