"""Samples the target codes of all takes one after another, in a scan, from what they share and what each has drawn."""

import functools
import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from condfoley_jax.models.transformer import Prefix, Suffix, Transformer
from condfoley_jax.partition import split_takes
from condfoley_jax.sampling.logits import Sampling, guide, sample
from condfoley_jax.sampling.prefill import prefill

# How much of the room for what takes have drawn is looked at grows so many times: half of it is empty half of the time,
# and reading that costs as much as reading what is there. docs/sampling.md has the figures.
_SEGMENTS = 2


def sample_codes(
  transformer: Transformer,
  condition: jax.Array,
  query: jax.Array,
  codes: jax.Array,
  history: jax.Array,
  keys: jax.Array,
  sampling: Sampling,
  count: int,
) -> jax.Array:
  """Samples target codes of one clip.

  A code is drawn with its take's key folded with its position, so a take does not depend on the others that are made
  with it, nor on how many codes were known.

  Args:
    transformer: the model.
    condition, query: features [J, T, feature_width].
    codes: int32 [J, L], the condition's.
    history: int32 [J, B, known], target codes that are known.
    keys: [J, B] typed keys, one per take.
    sampling: how to draw.
    count: how many to sample, L - known at most; static.

  Returns:
    int32 [J, B, count], the codes after the known ones.

  Raises:
    ValueError: there are fewer codes than the condition's, more than a clip's are asked for, or the model cannot be
      guided.
  """
  known, most = history.shape[2], transformer.config.codes
  if not 1 <= count <= most - known:
    raise ValueError(f"{count} codes after {known} known ones: a clip has {most}")
  guided = sampling.guidance is not None
  logits, prefix = prefill(transformer, condition, query, codes, guided=guided)
  return _decode(transformer, logits, prefix, history, split_takes(keys), sampling, count)


def _decode(
  transformer: Transformer,
  logits_JxV: jax.Array,
  prefix: Prefix,
  history: jax.Array,
  keys: jax.Array,
  sampling: Sampling,
  count: int,
) -> jax.Array:
  jobs, takes, known = history.shape
  # Guided jobs are read twice, with all that is given and with nothing.
  reads = lambda codes: codes if sampling.guidance is None else jnp.concatenate([codes, codes])
  suffix = transformer.empty_suffix(len(logits_JxV), takes, known + count - 1)
  logits = jnp.broadcast_to(logits_JxV[:, None], (len(logits_JxV), takes, logits_JxV.shape[1]))
  if known:
    logits, suffix = transformer.extend(reads(history), jnp.int32(0), prefix, suffix, reach=0)

  def draw(logits: jax.Array, index: jax.Array) -> jax.Array:
    if sampling.guidance is not None:
      logits = guide(*jnp.split(logits, 2), sampling.guidance)
    drawing = jax.vmap(jax.random.fold_in, (0, None))(keys.ravel(), transformer.config.prefix + index)
    return split_takes(sample(logits.reshape(jobs * takes, -1), drawing, sampling).reshape(jobs, takes))

  def step(reach: int, state: tuple[jax.Array, Suffix], index: jax.Array):
    codes, suffix = state
    logits, suffix = transformer.extend(reads(codes)[..., None], index, prefix, suffix, reach)
    codes = draw(logits, index + 1)
    return (codes, suffix), codes

  first = draw(logits, jnp.int32(known))
  state, drawn = (first, suffix), [first[None]]
  for start, end in _segments(known, known + count - 1):
    state, codes = jax.lax.scan(functools.partial(step, end - 1), state, jnp.arange(start, end))
    drawn.append(codes)
  return jnp.moveaxis(jnp.concatenate(drawn), 0, -1)


def _segments(start: int, end: int) -> Iterator[tuple[int, int]]:
  """Parts of the positions from `start` to `end`, in order."""
  bounds = [start + (end - start) * i // _SEGMENTS for i in range(_SEGMENTS + 1)]
  return ((a, b) for a, b in itertools.pairwise(bounds) if a < b)
