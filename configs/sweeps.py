"""Named sweeps: trainings and evaluations, in an order in which each finds what it reads.

mini:            the next weights to ship, part by part; `base` is what `condfoley generate` reads.
paper_ablations: the systems of the paper's tables that are trained, each named as `evaluate` names it, on the shipped
                 networks for half of the 5,500 steps of the config (40 minutes each at most on 2 cores), and
                 base_half, all of the model for as many; then all systems evaluated, of the shipped weights the best
                 of 10, 30 and 100 takes too, and by several tau.
sizes:           transformers of less and more layers and width, and their first takes.
codebook:        codebooks of 256 to 2048 codes, the transformer on each, and its first takes.
guidance:        the shipped weights with guidance from 1, none, to 4.
rerank_n:        the best of 10, 30 and 100 takes of the shipped weights, and by several tau.
seeds:           base_half by itself; `--seeds 3` is what it is for.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

# In place of a run: the weights that come with the package.
SHIPPED = "shipped"
_PARTS = ("vqgan", "video_encoder", "vocoder", "sync_net")
_FROM_SHIPPED = dict.fromkeys(_PARTS, SHIPPED)
_HALF = {"steps": 2750}
# Takes are ranked by the most and the first, and by each of the others.
_COUNTS, _TAUS = ("10", "30", "100"), ("0", "0.05", "0.1", "0.2", "0.4")
_RANKED = {"candidates": ",".join(_COUNTS), "tau": ",".join(_TAUS)}


@dataclasses.dataclass(frozen=True)
class Train:
  """A run of `condfoley train`.

  Attributes:
    name: of its folder.
    config: `configs/X.py:PRESET`, options included.
    pretrained: by key of config.pretrained, the earlier run whose weights it reads, or SHIPPED.
    changes: values by key of the config.
    cache: name of the folder of what frozen networks make of its pairs; runs on the same pairs, seen by the same
      networks, share one. None for runs that have no such networks.
    seed: of the sweep; the config's own is that much higher.
  """

  name: str
  config: str
  pretrained: Mapping[str, str] = dataclasses.field(default_factory=dict)
  changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  cache: str | None = None
  seed: int = 0

  @property
  def reads(self) -> tuple[str, ...]:
    """Runs that it reads."""
    return tuple(name for name in self.pretrained.values() if name != SHIPPED)


@dataclasses.dataclass(frozen=True)
class Evaluate:
  """A run of `condfoley evaluate`.

  Attributes:
    name: of its folder.
    weights: runs, or SHIPPED, whose weights are scored.
    options: by flag, without its dashes.
    seed: of the sweep.
  """

  name: str
  weights: tuple[str, ...] = (SHIPPED,)
  options: Mapping[str, str] = dataclasses.field(default_factory=dict)
  seed: int = 0

  @property
  def reads(self) -> tuple[str, ...]:
    """Runs that it reads."""
    return tuple(name for name in self.weights if name != SHIPPED)


Run = Train | Evaluate

# What a VQGAN's loss listens with: like the judge of material, and of another seed.
_CLASSIFIER = Train("classifier", "configs/classifier.py:mini", changes={"seed": 1})


def mini() -> tuple[Run, ...]:
  """The ranker is like a judge, and has another seed."""
  parts = {"vqgan": "vqgan", "video_encoder": "video_encoder", "vocoder": "vocoder", "sync_net": "ranker"}
  return (
    _CLASSIFIER,
    Train("vqgan", "configs/vqgan.py:mini", {"lpaps": _CLASSIFIER.name}),
    Train("vocoder", "configs/vocoder.py:mini"),
    Train("video_encoder", "configs/video_encoder.py:mini"),
    Train("ranker", "configs/sync.py:mini", {"video_encoder": "video_encoder"}, {"seed": 1}),
    Train("base", "configs/transformer.py:mini", parts, cache="base"),
  )


def paper_ablations() -> tuple[Run, ...]:
  """SpecVQGAN's broad training is of windows at any time, its fine-tuning of those that the paper trains on."""
  two_stream = _FROM_SHIPPED | {"video_encoder": "two_stream"}
  broad = Train("specvqgan", "configs/transformer.py:mini,specvqgan", two_stream, _HALF, "specvqgan")
  tuned = dataclasses.replace(
    broad,
    name="specvqgan_finetuned",
    pretrained=two_stream | {"transformer": "specvqgan"},
    changes={"data.mode": "paper", "steps": 500},
    cache="specvqgan_finetuned",
  )
  trained = (
    _half("base_half", "base"),
    _half("no_condition", "base"),
    _half("no_condition_video", "base"),
    _half("no_augmentation", "no_augmentation"),
    _half("random_condition", "random_condition"),
    Train("two_stream", "configs/video_encoder.py:mini,two_stream"),
    broad,
    tuned,
  )
  scored = tuple(run.name for run in trained if run.name != "two_stream")
  return (*trained, Evaluate("evaluation", (SHIPPED, *scored), _RANKED))


def sizes() -> tuple[Run, ...]:
  """The mini transformer is `six`."""
  grid = {"two": (2, 192), "four": (4, 192), "six": (6, 192), "narrow": (6, 128), "wide": (6, 256)}
  trained = (
    _half(name, "base", {"model.transformer.layers": layers, "model.transformer.width": width})
    for name, (layers, width) in grid.items()
  )
  return (*trained, _first_takes(tuple(grid)))


def codebook() -> tuple[Run, ...]:
  """Each size's VQGAN, by the recipe of `mini`, and a transformer on its codes.

  Losses are of a code: between codebooks only what is heard can be compared.
  """
  sizes = (256, 512, 1024, 2048)
  found: list[Run] = [_CLASSIFIER]
  for codes in sizes:
    vqgan = f"vqgan_{codes}"
    size = {"model.vqgan.quantizer.vocab": codes}
    found.append(Train(vqgan, "configs/vqgan.py:mini", {"lpaps": _CLASSIFIER.name}, size))
    vocab = {"model.transformer.vocab": codes} | size
    of_codes = _half(f"codes_{codes}", f"codes_{codes}", vocab)
    found.append(dataclasses.replace(of_codes, pretrained=_FROM_SHIPPED | {"vqgan": vqgan}))
  return (*found, _first_takes(tuple(f"codes_{codes}" for codes in sizes)))


def guidance() -> tuple[Run, ...]:
  """First takes with each."""
  values = ("1", "1.5", "2", "2.5", "3", "4")
  systems = ",".join(f"guidance_{value}" for value in values)
  return (Evaluate("guidance", options={"guidance": ",".join(values), "systems": systems}),)


def rerank_n() -> tuple[Run, ...]:
  """The takes of each trial are made once."""
  by_count = [f"rerank_{count}" for count in _COUNTS[:-1]]
  systems = ["base", "rerank", *by_count, *(f"rerank_tau_{tau}" for tau in _TAUS[1:])]
  return (Evaluate("rerank_n", options=_RANKED | {"systems": ",".join(systems)}),)


def seeds() -> tuple[Run, ...]:
  """What the same config gives by another seed."""
  return (_half("base_half", "base"), Evaluate("evaluation", ("base_half",)))


def _half(name: str, cache: str, changes: Mapping[str, Any] = {}) -> Train:
  option = "" if name not in _ABLATIONS else f",{name}"
  return Train(name, f"configs/transformer.py:mini{option}", _FROM_SHIPPED, _HALF | changes, cache)


def _first_takes(names: tuple[str, ...]) -> Evaluate:
  """Of runs, and nothing else; the shipped weights say what clips are."""
  return Evaluate("evaluation", (SHIPPED, *names), {"systems": ",".join(names)})


_ABLATIONS = ("no_condition", "no_condition_video", "no_augmentation", "random_condition")
SWEEPS: dict[str, Callable[[], tuple[Run, ...]]] = {
  sweep.__name__: sweep for sweep in (mini, paper_ablations, sizes, codebook, guidance, rerank_n, seeds)
}


def of(name: str, seeds: int = 1) -> tuple[Run, ...]:
  """The runs of a sweep for each of so many seeds; those after the first have names `seedN/NAME`, and caches too."""
  found: list[Run] = []
  for seed in range(seeds):
    for run in SWEEPS[name]():
      found.append(run if not seed else _with_seed(run, seed))
  return tuple(found)


def _with_seed(run: Run, seed: int) -> Run:
  named = lambda name: name if name == SHIPPED else f"seed{seed}/{name}"
  if isinstance(run, Evaluate):
    return dataclasses.replace(run, name=named(run.name), weights=tuple(map(named, run.weights)), seed=seed)
  changes = dict(run.changes) | {"seed": run.changes.get("seed", 0) + seed}
  pretrained = {key: named(name) for key, name in run.pretrained.items()}
  cache = run.cache and named(run.cache)
  return dataclasses.replace(run, name=named(run.name), pretrained=pretrained, changes=changes, cache=cache, seed=seed)
