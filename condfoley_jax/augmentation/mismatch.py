"""Sounds that do not go with their picture, as models make them: a strike left out, one too many, one at another time,
or another clip's sound. The network that ranks takes learns to tell them from those that do."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from condfoley_jax.shapes import Audio_BxN

# An event is cut out from so long before its time on, s: labels are exact, sounds begin at them.
_LEAD_S = 0.01
# The longest that is pasted, and its fading at the end, s.
_PASTED_S, _FADE_S = 0.5, 0.05
# What begins later than this before the picture's end, s, is hardly to be heard in it.
_SHORTEST_S = 0.1
# Nearer to an event than this, s, another is none of its own.
_APART_S = 0.15
# Places that one without events near is looked for among.
_TRIES = 16


class Events(NamedTuple):
  """Where in B sounds there are events, and where pictures show whether there are.

  Attributes:
    at: int32 [B, E], samples from each sound's start.
    there: bool [B, E], whether there is one.
    first, end: int32 [B], samples that the picture is of.
  """

  at: jax.Array
  there: jax.Array
  first: jax.Array
  end: jax.Array


def mismatched(audio: Audio_BxN, events: Events, rate: int, key: jax.Array) -> Audio_BxN:
  """Each sound with one mistake that its picture tells: one of the four above, evenly drawn where it can be made.

  Args:
    audio: float32 [B, N] at `rate` Hz, B being 2 or more. Row b may get the sound of row b - 1.
    events: in it. Where none is seen, the sound is another's.
    key: of the draws.
  """
  rows, samples = audio.shape
  kind_key, event_key, place_key = jax.random.split(key, 3)
  lead, apart, shortest = (round(s * rate) for s in (_LEAD_S, _APART_S, _SHORTEST_S))
  start = jnp.clip(events.at - lead, 0, samples)
  seen = events.there & (start >= events.first[:, None]) & (start < events.end[:, None] - shortest)
  chosen = jnp.where(seen, jax.random.uniform(event_key, seen.shape), -1).argmax(1)[:, None]
  start = jnp.take_along_axis(start, chosen, 1)
  later = jnp.where(events.there & (events.at - lead > start), events.at - lead, samples)
  end = later.min(1, keepdims=True)

  span = events.end - events.first - shortest
  places = events.first[:, None] + (jax.random.uniform(place_key, (rows, _TRIES)) * span[:, None]).astype(jnp.int32)
  far = jnp.where(events.there[:, None], jnp.abs(places[..., None] - events.at[:, None]), samples).min(2)
  place = jnp.take_along_axis(places, far.argmax(1)[:, None], 1)
  free = far.max(1) >= apart

  at = jnp.arange(samples)
  without = jnp.where((at >= start) & (at < end), 0, audio)
  pasted = _moved(audio, start, jnp.minimum(end, start + round(_PASTED_S * rate)), place, round(_FADE_S * rate))
  kinds = jnp.stack([without, audio + pasted, without + pasted, jnp.roll(audio, 1, 0)])
  allowed = jnp.stack([seen.any(1), seen.any(1) & free, seen.any(1) & free, jnp.ones(rows, bool)])
  kind = jnp.where(allowed, jax.random.uniform(kind_key, allowed.shape), -1).argmax(0)
  return jnp.take_along_axis(kinds, kind[None, :, None], 0)[0]


def _moved(audio: Audio_BxN, start: jax.Array, end: jax.Array, place: jax.Array, fade: int) -> Audio_BxN:
  """What is from `start` to `end` [B, 1], fading out, so that it starts at `place`; silence around it."""
  at = jnp.arange(audio.shape[1]) - place + start
  gain = jnp.where((at >= start) & (at < end), jnp.clip((end - at) / fade, 0, 1), 0)
  return jnp.take_along_axis(audio, jnp.clip(at, 0, audio.shape[1] - 1), 1) * gain
