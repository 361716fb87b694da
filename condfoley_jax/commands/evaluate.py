"""`condfoley evaluate`: every metric of weights on a test split, as metrics.json, a table and a page with sounds."""

import dataclasses
import itertools
import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from etils import epath

import condfoley_jax
from condfoley_jax.commands.bar import Bar
from condfoley_jax.evaluation import evaluate, metrics_page, metrics_table, systems
from condfoley_jax.evaluation.judges import SHIPPED as JUDGES
from condfoley_jax.evaluation.judges import Judges
from condfoley_jax.evaluation.metrics_page import Gallery
from condfoley_jax.evaluation.systems import Group
from condfoley_jax.evaluation.test_set import TestSet
from condfoley_jax.sampling import generate
from condfoley_jax.weights import folder
from data_pipelines import claim, interrupt
from data_pipelines.errors import InputError

RESULTS = ("metrics.json", "table.md", "report.html")


@dataclasses.dataclass(frozen=True)
class Settings:
  """What the user chose.

  Attributes:
    data: prepared test split.
    weights: folders. The first that is not named after a variant (`systems.VARIANTS`) is the model, which gives `base`
      and `rerank`; each other gives a system of its folder's name, or of the folder's that holds it where it is called
      `weights`: its first take, as its codes alone sound.
    judges: folder of what judges (`Judges`).
    only: systems wanted; None for all.
    candidates: takes that are ranked; of several numbers, each.
    seed: of the first take and of all draws.
    taus_s: as in `generate`, or several; none for what goes with the weights.
    guidance: first takes are made with these too.
  """

  data: Path | epath.Path
  weights: tuple[Path, ...] = (folder.SHIPPED,)
  judges: Path = JUDGES
  only: tuple[str, ...] | None = None
  candidates: tuple[int, ...] = (10,)
  seed: int = 0
  taus_s: tuple[float, ...] = ()
  guidance: tuple[float, ...] = ()


def run(settings: Settings, out: Path) -> None:
  """Writes metrics.json, table.md and report.html in `out`; what was scored before there is not scored again.

  Raises:
    InputError: the data, the weights or a choice cannot be used, or another run is at work in `out`.
  """
  named = _weights(settings.weights)
  main = named.get("model") or next(iter(named.values()))
  judges = Judges(main.clip, settings.judges, of=settings.weights[0])
  tests = TestSet(settings.data, main.clip)
  groups = _groups(settings, named, tests, judges)
  for name in RESULTS:
    if (out / name).is_dir():
      raise InputError(f"{out / name}: a folder, where the result goes; move it away or choose another --out")
  with claim.claimed(out), Bar("evaluating") as bar:
    gallery = Gallery(out / "sounds", tests, groups)
    found = evaluate.run(tests, judges, groups, out, sounds=gallery, progress=bar.show)
    found |= {"data": tests.described(), "weights": main.id, "judges": judges.id, "command": _command(settings, out)}
    made = {system: group.identity[system] for group in groups for system in group.systems}
    found |= {"version": condfoley_jax.__version__, "made_with": made}
    numbers = json.dumps(found, indent=1) + "\n"
    texts = (numbers, metrics_table.markdown(found), metrics_page.page(found, gallery, tests))
    interrupt.write_together(out, dict(zip(RESULTS, texts, strict=True)))


def _command(settings: Settings, out: Path) -> str:
  """What the user would type to get the same."""
  weights = ",".join(map(str, settings.weights)) if settings.weights != (folder.SHIPPED,) else None
  own = settings.judges if settings.judges != JUDGES else None
  given = {
    "--data": settings.data,
    "--weights": weights,
    "--judges": own,
    "--systems": settings.only and ",".join(settings.only),
  }
  given |= {"--candidates": _listed(settings.candidates), "--seed": settings.seed}
  given |= {"--tau": _listed(settings.taus_s) or None, "--guidance": _listed(settings.guidance) or None, "--out": out}
  words = [word for flag, value in given.items() if value is not None for word in (flag, str(value))]
  return shlex.join(["condfoley", "evaluate", *words])


def _listed(numbers: Sequence[float]) -> str:
  return ",".join(f"{number:g}" for number in numbers)


def _weights(directories: Sequence[Path]) -> dict[str, folder.Weights]:
  """By the names of their systems, the model's under "model"."""
  found: dict[str, folder.Weights] = {}
  for directory in directories:
    # A run of `train` leaves its weights in a folder of that name in its own.
    name = directory.parent.name if directory.name == "weights" else directory.name
    name = name if name in systems.VARIANTS or "model" in found else "model"
    if name != "model" and (name in found or not systems.may_be_named(name)):
      raise InputError(f"{directory}: {name} is the name of another system, or cannot be one; rename the folder")
    found[name] = generate.load(directory)
    if found[name].clip != next(iter(found.values())).clip:
      raise InputError(f"{directory}: another clip than {directories[0]}; evaluate them apart")
  return found


def _groups(settings: Settings, named: dict[str, folder.Weights], tests: TestSet, judges: Judges) -> list[Group]:
  """What is wanted of what there is."""
  wanted = _wanted(settings, named)
  groups = [systems.reference_group(tests, settings.seed, wanted)]
  for name, weights in named.items():
    if name == "model":
      groups.append(systems.ceiling_group(weights, settings.seed))
      if weights.conventions.detail_frames:
        groups.append(systems.plain_group(systems.WITHOUT_DETAIL, weights, settings.seed))
      groups.append(systems.style_group(weights, judges.material, judges.id))
      groups += [systems.guided_group(weights, guidance, settings.seed) for guidance in settings.guidance]
      ranked = {"candidates": settings.candidates, "taus_s": settings.taus_s, "systems": wanted}
      groups.append(systems.model_group(weights, seed=settings.seed, **ranked))
    else:
      groups.append(systems.plain_group(name, weights, settings.seed))
  groups = [group._replace(systems=tuple(s for s in group.systems if s in wanted)) for group in groups]
  return [group for group in groups if group.systems]


def _wanted(settings: Settings, named: dict[str, folder.Weights]) -> Sequence[str]:
  """Those that were chosen, or all systems that weights of these names give."""
  # Of which tau the first is by default is no part of a name.
  ranked = systems.choices(settings.candidates, settings.taus_s or (0.0,))
  of_model = systems.CEILINGS + systems.model_systems(ranked) + systems.STYLE
  of_model += tuple(map(systems.guided, settings.guidance))
  if "model" in named and named["model"].conventions.detail_frames:
    of_model += (systems.WITHOUT_DETAIL,)
  given = (of_model if name == "model" else (name,) for name in named)
  known = (*systems.REFERENCES, *itertools.chain(*given))
  for system in settings.only or ():
    if system not in known:
      raise InputError(f"--systems {system}: not there; choose of {', '.join(known)}")
  return known if settings.only is None else settings.only
