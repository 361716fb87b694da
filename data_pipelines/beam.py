"""Shards made by Apache Beam workers: the direct runner here, Dataflow there."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

from data_pipelines.errors import InputError
from data_pipelines.prepare import Mapper, ShardTask


def on(options: str) -> Mapper:
  """A mapper for `prepare.prepare`.

  Args:
    options: Beam's own, e.g. "--runner=DirectRunner" or "--runner=DataflowRunner --project=P --region=R ...".

  Raises:
    InputError: when called, if Beam is not installed.
  """

  @contextlib.contextmanager
  def mapper(function: Callable[[ShardTask], int], tasks: Sequence[ShardTask]) -> Iterator[Iterator[int]]:
    try:
      import apache_beam as beam
      from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as e:
      raise InputError("--beam: Apache Beam is not installed; install condfoley-jax[beam] in an environment") from e
    with beam.Pipeline(options=PipelineOptions(options.split())) as pipeline:
      _ = pipeline | beam.Create(tasks) | beam.Reshuffle() | beam.Map(function)
    yield iter([len(task.sources) for task in tasks])

  return mapper
