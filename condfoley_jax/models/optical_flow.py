"""Optical flow by local least squares (Lucas and Kanade 1981), coarse to fine: what moves where between two frames."""

import jax
import jax.numpy as jnp
from jax import lax

# Side of the square that is taken to move as one, px; halvings of the picture before the first guess.
_WINDOW, _HALVINGS = 5, 2
# Keeps flat squares, whose motion nobody can tell, still; in squares of brightness per px.
_DAMPING = 1e-3


def optical_flow(bright: jax.Array) -> jax.Array:
  """Motion since the frame before of brightness float [B, T, H, W], px to the right and down, float32 [B, T, H, W, 2].

  0 in the first frame. Steps of more than a few pixels are not followed. Sides that are no multiple of 4 are padded.
  """
  batch, time, height, width = bright.shape
  pad = [(0, -size % 2**_HALVINGS) for size in (height, width)]
  frames = jnp.pad(bright.astype(jnp.float32).reshape(-1, height, width), ((0, 0), *pad), mode="edge")
  frames = frames.reshape(batch, time, *frames.shape[1:])
  now, before = (x.reshape(-1, *x.shape[2:]) for x in (frames[:, 1:], frames[:, :-1]))
  moved = jnp.zeros((*now.shape[:1], *(size >> _HALVINGS for size in now.shape[1:]), 2))
  for halving in range(_HALVINGS, -1, -1):
    if halving < _HALVINGS:
      moved = 2 * jnp.repeat(jnp.repeat(moved, 2, 1), 2, 2)
    moved = moved + _step(_smaller(before, halving), _smaller(now, halving), moved)
  moved = moved[:, :height, :width].reshape(batch, time - 1, height, width, 2)
  return jnp.pad(moved, ((0, 0), (1, 0), (0, 0), (0, 0), (0, 0)))


def _step(before: jax.Array, now: jax.Array, moved: jax.Array) -> jax.Array:
  """What is to be added to `moved`, by the gradients of `before` and what of it is seen `now` where it moved to."""
  dy, dx = jnp.gradient(before, axis=(1, 2))
  change = _moved_back(now, moved) - before
  xx, xy, yy, xt, yt = (_local_mean(a * b) for a, b in ((dx, dx), (dx, dy), (dy, dy), (dx, change), (dy, change)))
  xx, yy = xx + _DAMPING, yy + _DAMPING
  determinant = xx * yy - xy * xy
  return jnp.stack([xy * yt - yy * xt, xy * xt - xx * yt], -1) / determinant[..., None]


def _moved_back(frames: jax.Array, moved: jax.Array) -> jax.Array:
  """Frames [N, H, W] read where each pixel has moved to, by linear interpolation."""
  rows, columns = (jnp.arange(size, dtype=jnp.float32) for size in frames.shape[1:])
  read = lambda frame, by: jax.scipy.ndimage.map_coordinates(
    frame, [rows[:, None] + by[..., 1], columns + by[..., 0]], order=1, mode="nearest"
  )
  return jax.vmap(read)(frames, moved)


def _smaller(frames: jax.Array, halvings: int) -> jax.Array:
  side = 2**halvings
  return _window_sum(frames, side, side, "VALID") / side**2


def _local_mean(x: jax.Array) -> jax.Array:
  return _window_sum(x, _WINDOW, 1, "SAME") / _WINDOW**2


def _window_sum(x: jax.Array, side: int, stride: int, padding: str) -> jax.Array:
  return lax.reduce_window(x, 0.0, lax.add, (1, side, side), (1, stride, stride), padding)
