"""What a run reads: batches of its stage, on the devices before they are asked for."""

import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import grain
import jax
import numpy as np
from etils import epath
from flax import nnx
from jax.sharding import Mesh

from condfoley_jax import sharding
from condfoley_jax.stages.stage import Batch, Stage
from condfoley_jax.training import input_cache
from data_pipelines import dataset, pipeline
from data_pipelines.errors import InputError


class TrainingData:
  """Batches that `stage.config.data` names, split over `mesh`.

  Raises:
    InputError: the data cannot be used, there is less than a batch of validation data.
  """

  def __init__(self, stage: Stage, mesh: Mesh):
    self._stage, self._mesh, self._config = stage, mesh, stage.config
    # Opened at once: what is wrong with the data shows before anything slow.
    self._train = self._batches("train", train=True)
    self._first_validation(1)

  def described(self) -> dict[str, Any]:
    """What training reads, wherever it lies: a run cannot go on with anything else."""
    data = self._config["data"]
    of = dataset.sha256(epath.Path(data["train"]) / dataset.FILE_NAME)[:16]
    return {"train": of, "cached_epochs": data["cache_epochs"] if data.get("cache") else 0}

  def train(self, model: Callable[[], nnx.Module]) -> grain.DatasetIterator:
    """Endless batches, one ahead; `get_state()` tells of the last that was taken. Fills the cache, where there is one.

    Args:
      model: gives the stage's, whole on every device; called where there is a cache.

    Raises:
      InputError: the cache is another one. While iterating: a record is damaged.
    """
    batches = self._cached(model()) if self._config["data"].get("cache") else self._train
    return iter(grain.experimental.ThreadPrefetchIterDataset(batches.map(self._placed), prefetch_buffer_size=1))

  def validation(self) -> Iterator[Batch]:
    """The first `config.evaluate_batches` batches; less than a batch would be compiled for itself.

    Raises:
      InputError: there is none.
    """
    return map(self._placed, self._first_validation(self._config["evaluate_batches"]))

  def _placed(self, batch: dict[str, np.ndarray]) -> Batch:
    return sharding.place_batch(batch, self._mesh, self._config["batch_size"])

  def _first_validation(self, count: int) -> list[dict[str, np.ndarray]]:
    """At most `count` of them. Raises InputError if there is none."""
    found = list(itertools.islice(self._batches("validation", train=False), count))
    if not found:
      where, size = self._config["data"]["validation"], self._config["batch_size"]
      raise InputError(f"{where}: fewer than {size} examples; prepare more videos or lower --config.batch_size")
    return found

  def _batches(self, split: str, *, train: bool) -> grain.IterDataset:
    data, options = self._config["data"], self._options() | {"train": train}
    if self._stage.batches == "clips":
      return pipeline.clip_batches(data[split], self._stage.clip, at_event=data["at_event"], **options)
    return pipeline.pair_batches(data[split], self._stage.clip, **self._windows(), **options)

  def _cached(self, model: nnx.Module) -> grain.IterDataset:
    data = self._config["data"]
    pairs = pipeline.Pairs(data["train"], self._stage.clip, seed=self._config["seed"], **self._windows())
    tell = lambda line: print(line, file=sys.stderr, flush=True)
    share = input_cache.Share(jax.process_index(), jax.process_count())
    cache = input_cache.filled(self._stage, model, pairs, share=share, report=tell)
    return pipeline.cached_batches(cache, **self._options())

  def _windows(self) -> dict:
    """Which windows make a pair."""
    return {name: self._config["data"][name] for name in ("mode", "overlap", "at_event")}

  def _options(self) -> dict:
    size = self._config["batch_size"]
    rows = sharding.rows_of(self._mesh, size, jax.process_index())
    return {"batch_size": size, "seed": self._config["seed"], "rows": rows}
