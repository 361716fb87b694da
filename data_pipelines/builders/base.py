"""What all TFDS builders here share: features, splits, and examples from a Beam pipeline or a loop."""

import abc
import functools
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds

from condfoley_jax.clip import ClipSpec
from data_pipelines import records
from data_pipelines.builders.segments import segments_of
from data_pipelines.builders.source import PUBLISHED_SPLITS, SPLITS, Source
from data_pipelines.errors import InputError

_COUNTS = ("segment", "video_frames", "valid_frames", "sample_rate", "fps")
_NAMES = ("video", "source", "source_sha256")
_LABELS = ("event_material", "event_action", "event_reaction")

Example = tuple[str, dict[str, Any]]


class SourceBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """A data set whose examples are the seconds of its videos, with the features of a stored record (`records`).

  Beside them an example has `label`, the video's class ("" where there is none), and `span`, float32 [2], the labelled
  interval in seconds from the video's start (NaN where there is none). `frames` are decoded to uint8 [R, R, 3] when the
  data set is read. Videos that cannot be used are left out, with a warning, and so are splits without videos.

  TensorFlow is not needed: the files are ArrayRecords, to be read with `as_data_source`. Where Apache Beam is
  installed (extra `beam`), `_generate_examples` returns a transform, and `download_and_prepare` takes a Beam runner.

  Args:
    spec: rates and picture size of the examples; part of the configuration's name, so of the folder on disk.
    splits: splits to build.
    variant: the configuration's name but for the spec.
    **kwargs: of `tfds.core.GeneratorBasedBuilder`: data_dir, file_format.
  """

  VERSION = tfds.core.Version("1.0.0")
  # Nothing is downloaded, so TFDS need not look for checksums beside the code: it would want one more package for that.
  code_path = None
  DESCRIPTION: str
  HOMEPAGE: str
  LICENSE: str
  CITATION: str

  def __new__(cls, *args: Any, **kwargs: Any):
    self = super().__new__(cls)
    self._arguments = args, kwargs
    return self

  def __init__(self, *, spec: ClipSpec, splits: Sequence[str], variant: str, **kwargs: Any):
    self._spec, self._split_names = spec, tuple(splits)
    rates = f"{spec.fps}fps-{spec.sample_rate}hz-{spec.frame_resize}px-{spec.frame_filter}"
    config = tfds.core.BuilderConfig(name=f"{variant}-{rates}", version=self.VERSION)
    super().__init__(config=config, **{"file_format": "array_record", **kwargs})

  def __reduce__(self):
    # Data sources carry their builder along into workers, and TFDS would make it anew from its own arguments alone.
    args, kwargs = self._arguments
    return functools.partial(type(self), *args, **kwargs), ()

  @abc.abstractmethod
  def sources(self, split: str) -> list[Source]:
    """Videos of a split. Raises InputError if the folder is not as expected."""

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description=self.DESCRIPTION,
      homepage=self.HOMEPAGE,
      license=self.LICENSE,
      citation=self.CITATION,
      features=features(self._spec),
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
    del dl_manager  # the videos are on disk
    sources = {split: self.sources(split) for split in self._split_names}
    # TFDS has no empty splits.
    return {split: self._generate_examples(listed) for split, listed in sources.items() if listed}

  def _generate_examples(self, sources: Sequence[Source]) -> Any:
    convert = functools.partial(examples_of, spec=self._spec)
    try:
      import apache_beam as beam
    except ImportError:
      return (example for source in sources for example in convert(source))
    # Reshuffled, or a runner would fuse the two steps and convert all videos on one worker.
    return beam.Create(sources) | beam.Reshuffle() | beam.FlatMap(convert)


class PublicBuilder(SourceBuilder, skip_registration=True):
  """A public data set, with our splits or the published ones.

  Args:
    source_dir, annotations: folders of the videos and of the published lists, as the module's `sources` takes them.
    spec: rates and picture size.
    published: build the published splits instead of ours.
    **kwargs: data_dir, file_format.
  """

  def __init__(
    self,
    source_dir: str | os.PathLike,
    *,
    spec: ClipSpec,
    annotations: str | os.PathLike | None = None,
    published: bool = False,
    **kwargs: Any,
  ):
    self.source_dir, self.annotations = source_dir, annotations
    splits, variant = (PUBLISHED_SPLITS, "published") if published else (SPLITS, "disjoint")
    super().__init__(spec=spec, splits=splits, variant=variant, **kwargs)


def features(spec: ClipSpec) -> tfds.features.FeaturesDict:
  """Features of an example, as `records` describes them, and `label` and `span`."""
  picture = tfds.features.Image(shape=(spec.frame_resize, spec.frame_resize, 3), encoding_format="png")
  return tfds.features.FeaturesDict(
    {
      **{name: tfds.features.Text() for name in _NAMES},
      **{name: tfds.features.Scalar(np.int64) for name in _COUNTS},
      "frames": tfds.features.Sequence(picture, length=spec.fps),
      "audio": tfds.features.Tensor(shape=(spec.sample_rate,), dtype=np.int16, encoding="bytes"),
      # Bytes of float64, because the floats that TFDS stores are float32.
      "event_time": tfds.features.Scalar(np.object_),
      **{name: tfds.features.Sequence(tfds.features.Text()) for name in _LABELS},
      "label": tfds.features.Text(),
      "span": tfds.features.Tensor(shape=(2,), dtype=np.float32),
    }
  )


def examples_of(source: Source, spec: ClipSpec) -> Iterator[Example]:
  """(key, example) of each second of a video; nothing, and a warning, if it cannot be used."""
  try:
    for segment in segments_of(source, spec):
      yield f"{source.id}/{segment.segment:06d}", _example(source, segment)
  except InputError as e:
    logging.getLogger(__name__).warning("left out %s", e)


def _example(source: Source, segment: records.Segment) -> dict[str, Any]:
  return {
    **{name: getattr(segment, name) for name in (*_NAMES, *_COUNTS, "audio")},
    "frames": [_png(frame) for frame in records.decode_frames(segment.frames)],
    "event_time": np.array([e.time_s for e in segment.events], "<f8").tobytes(),
    **{name: _words(segment, name.removeprefix("event_")) for name in _LABELS},
    "label": source.label or "",
    "span": np.array(source.span_s or (np.nan, np.nan), np.float32),
  }


def _words(segment: records.Segment, field: str) -> Iterable[str]:
  return [getattr(e, field) for e in segment.events]


def _png(frame: np.ndarray) -> bytes:
  """PNG of a picture, uint8 [S, S, 3] RGB: given an array, TFDS would encode it with TensorFlow."""
  return cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))[1].tobytes()
