"""The procedural world: videos of a hand-held stick that hits or scratches a thing, with their events.

Everything is drawn from (split, seed, index): the same arguments give the same frames and sound.
"""
