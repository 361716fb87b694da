"""What a run reads: batches of its stage, on the devices before they are asked for."""

import itertools
import sys
from collections.abc import Iterator

import grain
import jax
from flax import nnx
from jax.sharding import Mesh

from condfoley_jax import sharding
from condfoley_jax.stages.stage import Batch, Stage
from condfoley_jax.training import input_cache
from data_pipelines import pipeline
from data_pipelines.errors import InputError


class TrainingData:
  """Batches that `stage.config.data` names, split over `mesh`.

  Raises:
    InputError: the data cannot be used, there is less than a batch of validation data, or a batch cannot be split.
  """

  def __init__(self, stage: Stage, mesh: Mesh):
    self._stage, self._mesh, self._config = stage, mesh, stage.config
    self._share = pipeline.Share(jax.process_index(), jax.process_count())
    # Opened at once: what is wrong with the data shows before anything slow.
    self._train = self._batches("train", train=True)
    self._whole(1)

  def train(self, model: nnx.Module) -> grain.DatasetIterator:
    """Endless batches, one ahead; `get_state()` tells of the last that was taken. Fills the cache, where there is one.

    Raises:
      InputError: the cache is another one. While iterating: a record is damaged.
    """
    batches = self._cached(model) if self._config["data"].get("cache") else self._train
    placed = batches.map(lambda batch: sharding.place_batch(batch, self._mesh))
    return iter(grain.experimental.ThreadPrefetchIterDataset(placed, prefetch_buffer_size=1))

  def validation(self) -> Iterator[Batch]:
    """The first `config.evaluate_batches` whole batches; a partial one would be compiled for itself."""
    return (sharding.place_batch(batch, self._mesh) for batch in self._whole(self._config["evaluate_batches"]))

  def _whole(self, count: int) -> list[Batch]:
    """Whole ones among the first `count` validation batches. Raises InputError if there is none."""
    size = self._config["batch_size"] // self._share.count
    first = itertools.islice(self._batches("validation", train=False), count)
    whole = [batch for batch in first if len(next(iter(batch.values()))) == size]
    if not whole:
      where = self._config["data"]["validation"]
      raise InputError(f"{where}: fewer than {size} examples; prepare more videos or lower --config.batch_size")
    return whole

  def _batches(self, split: str, *, train: bool) -> grain.IterDataset:
    data, options = self._config["data"], self._options() | {"train": train}
    if self._stage.batches == "clips":
      return pipeline.clip_batches(data[split], self._stage.clip, at_event=data["at_event"], **options)
    return pipeline.pair_batches(data[split], self._stage.clip, **self._windows(), **options)

  def _cached(self, model: nnx.Module) -> grain.IterDataset:
    data = self._config["data"]
    pairs = pipeline.Pairs(data["train"], self._stage.clip, seed=self._config["seed"], **self._windows())
    tell = lambda line: print(line, file=sys.stderr, flush=True)
    cache = input_cache.filled(self._stage, model, pairs, share=self._share, report=tell)
    return pipeline.cached_batches(cache, **self._options())

  def _windows(self) -> dict:
    """Which windows make a pair."""
    return {name: self._config["data"][name] for name in ("mode", "overlap", "at_event")}

  def _options(self) -> dict:
    return {"batch_size": self._config["batch_size"], "seed": self._config["seed"], "share": self._share}
