"""The page of a perceptual study: one HTML file that holds the lists of trials and every clip they need."""

import base64
import dataclasses
import hashlib
import html
import importlib.resources
import json
import re
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import condfoley_jax
from condfoley_jax.evaluation import embed
from condfoley_jax.evaluation.study import PRACTICE, Trial, digest
from data_pipelines.errors import InputError

PAGE_BYTES = 40_000_000  # more is much for a phone
ANSWERS_FORMAT = "condfoley study answers 2"
_ID_DIGITS = 12


@dataclasses.dataclass(frozen=True)
class Study:
  """What decides what participants see.

  Attributes:
    lists: as of `study.make_lists`.
    seed: that made them.
    reference: the system that the others are against, or None where every pair is compared.
  """

  lists: Sequence[Sequence[Trial]]
  seed: int
  reference: str | None


def write_page(study: Study, path_of: Callable[[str, str], Path], out: Path, *, results: Path) -> None:
  """Writes the page of `study` to the file `out`; the same study and clips give the same bytes.

  Args:
    study: what to show.
    path_of: where the mp4 of a folder of results and a clip is.
    out: the HTML file.
    results: what to blame for a page that is too large.

  Raises:
    InputError: a clip, or the page, would be too large.
  """
  wanted = sorted({(folder, trial.clip) for trials in study.lists for trial in trials for folder in _shown(trial)})
  paths = [path_of(*name) for name in wanted]
  plan = _plan(study, {name: index for index, name in enumerate(wanted)})
  template = importlib.resources.files(__package__).joinpath("study.html").read_text(encoding="utf-8")
  page = string.Template(template).substitute(
    script_sha256=_script_hash(template),
    plan=_in_script({"study": _id(plan, paths), **plan}),
    media="\n".join(_media(paths, out.parent, results)),
    version=html.escape(condfoley_jax.__version__),
  )
  if len(page.encode()) > PAGE_BYTES:
    raise _too_large(results)
  out.write_text(page, encoding="utf-8", newline="\n")


def _shown(trial: Trial) -> tuple[str, str, str]:
  return trial.example, trial.left, trial.right


def _plan(study: Study, index: dict[tuple[str, str], int]) -> dict:
  """What the page's script reads; `media` of a trial are those of its example, left and right."""
  lists = [
    [dataclasses.asdict(t) | {"media": [index[folder, t.clip] for folder in _shown(t)]} for t in trials]
    for trials in study.lists
  ]
  return {
    "format": ANSWERS_FORMAT,
    "seed": study.seed,
    "reference": study.reference,
    "practice": PRACTICE,
    "lists": lists,
    "trials_sha256": [digest(trials) for trials in study.lists],
  }


def _id(plan: dict, paths: Iterable[Path]) -> str:
  """A name for the study that no other has: a hash of its lists and clips."""
  digest = hashlib.sha256(json.dumps(plan).encode())
  for path in paths:
    digest.update(hashlib.sha256(path.read_bytes()).digest())
  return digest.hexdigest()[:_ID_DIGITS]


def _media(paths: Sequence[Path], folder: Path, results: Path) -> Iterator[str]:
  """One element per clip, in order; those that share pictures hold them once."""
  media = embed.Media(folder)
  for path in paths:
    if path.stat().st_size > embed.FILE_BYTES:
      raise InputError(f"{path}: too large for a page ({embed.FILE_BYTES / 1e6:g} MB at most); shorten the clip")
    attributes = media.video(path)
    if attributes == f'src="{media.link(path)}"':  # where the page has no room left
      raise _too_large(results)
    yield f"<video {attributes}></video>"


def _too_large(results: Path) -> InputError:
  remedy = "choose fewer with --clips, fewer --systems, or shorter videos"
  return InputError(f"{results}: its clips make a page of more than {PAGE_BYTES / 1e6:g} MB; {remedy}")


def _in_script(value: dict) -> str:
  """JSON that cannot end the element it is in."""
  return json.dumps(value).replace("<", "\\u003c")


def _script_hash(template: str) -> str:
  """What the page's content security policy admits: its own script and no other."""
  (script,) = re.findall(r"<script>(.*?)</script>", template, re.DOTALL)
  return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
