"""Conditional Foley in JAX: a silent video and an example clip in, a soundtrack out."""

__version__ = "0.2.0"
