"""Named sweeps: runs of `condfoley train`, in order, where one may begin with what another has trained.

mini:            the next weights to ship, part by part; `base` is what `condfoley generate` reads.
paper_ablations: the same, and the systems of the paper's tables that are trained, each named as `evaluate` names it,
                 for half of base's steps, and base_half, base for as many.

Neither has been run to its end yet.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Run(NamedTuple):
  """One run.

  Attributes:
    name: of its folder.
    config: `configs/X.py:PRESET`, options included.
    pretrained: by key of config.pretrained, the earlier run whose weights it reads.
    changes: values by key of the config.
    cache: name of the folder of what frozen networks make of its pairs; runs on the same pairs, seen by the same
      networks, share one. None for runs that have no such networks.
  """

  name: str
  config: str
  pretrained: Mapping[str, str] = {}
  changes: Mapping[str, Any] = {}
  cache: str | None = None


_PARTS = {"vqgan": "vqgan", "video_encoder": "video_encoder", "vocoder": "vocoder", "sync_net": "ranker"}
# 40 minutes at the most on 2 cores.
_HALF = {"steps": 2750}
_TWO_STREAM = _PARTS | {"video_encoder": "two_stream"}


def mini() -> tuple[Run, ...]:
  """Where a network is like a judge, it has another seed than that."""
  return (
    Run("classifier", "configs/classifier.py:mini", changes={"seed": 1}),
    Run("vqgan", "configs/vqgan.py:mini", {"lpaps": "classifier"}),
    Run("vocoder", "configs/vocoder.py:mini"),
    Run("video_encoder", "configs/video_encoder.py:mini"),
    Run("ranker", "configs/sync.py:mini", {"video_encoder": "video_encoder"}, {"seed": 1}),
    _transformer("base", "base"),
  )


def paper_ablations() -> tuple[Run, ...]:
  """SpecVQGAN's broad training is of windows at any time, its fine-tuning of those that the paper trains on."""
  tuned = {"data.mode": "paper", "steps": 500}
  from_broad = _TWO_STREAM | {"transformer": "specvqgan"}
  return (
    *mini(),
    _transformer("base_half", "base", _HALF),
    *(_transformer(name, "base", _HALF) for name in ("no_condition", "no_condition_video")),
    *(_transformer(name, name, _HALF) for name in ("no_augmentation", "random_condition")),
    Run("two_stream", "configs/video_encoder.py:mini,two_stream"),
    Run("specvqgan", "configs/transformer.py:mini,specvqgan", _TWO_STREAM, _HALF, "specvqgan"),
    Run("specvqgan_finetuned", "configs/transformer.py:mini,specvqgan", from_broad, tuned, "specvqgan_finetuned"),
  )


def _transformer(name: str, cache: str, changes: Mapping[str, Any] = {}) -> Run:
  option = "" if name.startswith("base") else f",{name}"
  return Run(name, f"configs/transformer.py:mini{option}", _PARTS, changes, cache)


SWEEPS: dict[str, Callable[[], tuple[Run, ...]]] = {"mini": mini, "paper_ablations": paper_ablations}
