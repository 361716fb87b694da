"""What `condfoley generate` leaves on disk: takes, soundtrack, report.html and generation.json."""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import condfoley_jax
from condfoley_jax.commands import page
from condfoley_jax.commands.generation import Generation, Settings, Take, timed
from data_pipelines import interrupt, media
from data_pipelines.errors import InputError, is_utf8

# In the order in which they come; where generation.json is, all the rest is.
NAMES = ("takes", "soundtrack.mp4", "report.html", "generation.json")
_RECORD_TYPES = {"version": str, "inputs": dict, "settings": dict, "weights": str, "takes": list}
# In the folder of a result that is being moved: the one that it replaces.
_EARLIER = "earlier"
# Besides hidden files, which file managers put everywhere.
_TAKE = re.compile(r"\d\d+\.(wav|mp4)|\..*")


def check(out: Path, inputs: Sequence[Path]) -> None:
  """Says early that results cannot be written to `out`.

  Raises:
    InputError: it is a file, lies in a folder that cannot be written, holds something under a result's name that is of
      no earlier result, or an input lies where a result goes.
  """
  for path in (out, *inputs):
    if not is_utf8(path):
      raise InputError(f"{path}: the name is not UTF-8; rename it")
  for path in inputs:
    # Not by Path.resolve, which raises on links that lead to themselves.
    if any(Path(os.path.realpath(path)).is_relative_to(os.path.realpath(out / name)) for name in NAMES):
      raise InputError(f"{path}: would be replaced by the result; choose another folder for --out")
  require_place(out)
  _finish_move(out)
  for path in _foreign(out):
    raise InputError(f"{path}: condfoley did not make it and would replace it; choose another folder for --out")


def require_place(out: Path) -> None:
  """Refuses a folder `out` that cannot be made or written.

  Raises:
    InputError: it cannot.
  """
  nearest = next(p for p in (out, *out.absolute().parents) if p.exists() or p.is_symlink())
  if not nearest.exists():
    raise InputError(f"{out}: is or lies in a link that leads nowhere; remove the link or choose another --out")
  if not nearest.is_dir():
    raise InputError(f"{out}: is or lies in a file; choose a folder for --out")
  if not os.access(nearest, os.W_OK | os.X_OK):
    raise InputError(f"{out}: cannot be written; choose another folder for --out")


def _foreign(out: Path) -> Iterator[Path]:
  """What lies where results go and is not of an earlier result."""
  ours = _record(out) is not None
  for path in (out / name for name in NAMES):
    is_folder = path.is_dir() and not path.is_symlink()
    if os.path.lexists(path) and not (ours and is_folder == (path.name == "takes")):
      yield path
  if ours and (out / "takes").is_dir():
    yield from (p for p in (out / "takes").iterdir() if not _TAKE.fullmatch(p.name))


def _record(out: Path) -> dict | None:
  """The generation.json that `write` wrote to `out`; None if there is none, or it is damaged."""
  try:
    record = json.loads((out / "generation.json").read_text())
  except (OSError, ValueError, RecursionError):
    return None
  if not isinstance(record, dict) or any(not isinstance(record.get(k), kind) for k, kind in _RECORD_TYPES.items()):
    return None
  inputs_are = all(isinstance(told, dict) for told in record["inputs"].values())
  takes_are = record["takes"] and all(_is_take(take) for take in record["takes"])
  return record if inputs_are and takes_are else None


def _is_take(take: object) -> bool:
  """Whether `take` is what `_describe_take` gives, as far as it is read again."""
  number = lambda x: isinstance(x, int | float)
  return (
    isinstance(take, dict)
    and number(take.get("seed"))
    and isinstance(take.get("segments"), list)
    and len(take["segments"]) > 0
    and all(
      isinstance(s, dict) and number(s.get("sync_offset_s")) and number(s.get("sync_confidence"))
      for s in take["segments"]
    )
  )


def earlier(out: Path, query: Path, settings: Settings, weights_id: str) -> dict | None:
  """The generation.json of an earlier result in `out` that was made from the same with the same; None if there is none.

  Inputs are known by their content; of the result, all files must be there. `settings` are as `Maker.settled` gives
  them.
  """
  record = _record(out)
  if record is None or not _is_whole(out, len(record["takes"])):
    return None
  chosen = {k: v for k, v in dataclasses.asdict(settings).items() if k not in ("example", "example_start_s")}
  same = (
    record["version"] == condfoley_jax.__version__
    and record["weights"] == weights_id
    and all(record["settings"].get(k, "") == v for k, v in chosen.items())
    and _without_paths(record["inputs"]) == _without_paths(_described_inputs(query, settings))
  )
  return record if same else None


def _is_whole(out: Path, takes: int) -> bool:
  files = (f"takes/{number:02d}.{kind}" for number in range(1, takes + 1) for kind in ("wav", "mp4"))
  return all((out / name).exists() for name in (*NAMES, *files))


def _without_paths(inputs: dict[str, dict]) -> dict[str, dict]:
  return {name: {k: v for k, v in told.items() if k != "path"} for name, told in inputs.items()}


def write(generation: Generation, out: Path, *, weights_dir: Path | None = None) -> None:
  """Writes the result aside, then moves it to `out`, in place of an earlier one.

  Raises:
    InputError: the disk is full, or `out` cannot be written.
    Interrupted: a signal came before the result was moved.
  """
  with _refused(out), interrupt.partial_folder(out) as aside:
    with timed("write", generation.seconds) as so_far:
      _write_media(generation, aside)
      command = page.command_of(generation, out, weights_dir)
      page.write([generation], aside, title=generation.query.name, command=command, seconds=so_far, home=out)
      _write_record(generation, aside / "generation.json", so_far)
    _move(aside, out)


@contextlib.contextmanager
def _refused(out: Path) -> Iterator[None]:
  try:
    yield
  except OSError as error:
    raise InputError(f"{out}: {error.strerror or error}; free some room or choose another folder for --out") from error


def _move(aside: Path, out: Path) -> None:
  """Moves the result in `aside` to `out`, the earlier one to `aside`: generation.json goes first and comes last."""
  earlier = aside / _EARLIER
  earlier.mkdir()
  done: list[tuple[Path, Path]] = []
  with interrupt.held():
    try:
      for source, target in _moves(aside, out):
        os.replace(source, target)
        done.append((source, target))
    except OSError:
      for source, target in reversed(done):
        os.replace(target, source)
      raise


def _moves(aside: Path, out: Path) -> list[tuple[Path, Path]]:
  """What is left to be moved: of the earlier result where the new one has not come yet, and of the new one."""
  new = [name for name in NAMES if os.path.lexists(aside / name)]
  away = [(out / name, aside / _EARLIER / name) for name in reversed(new) if os.path.lexists(out / name)]
  return away + [(aside / name, out / name) for name in new]


def _finish_move(out: Path) -> None:
  """Does what is left of a move in the midst of which a process was killed: both results are there, in two places."""
  for aside in interrupt.abandoned(out):
    if (aside / _EARLIER).is_dir():
      with _refused(out), interrupt.held():
        for source, target in _moves(aside, out):
          os.replace(source, target)


def _write_media(generation: Generation, directory: Path) -> None:
  (directory / "takes").mkdir()
  tags = {"title": generation.query.stem, "comment": f"sound generated by condfoley-jax {condfoley_jax.__version__}"}
  for number, take in enumerate(generation.takes, 1):
    stem = directory / "takes" / f"{number:02d}"
    media.write_wav(stem.with_suffix(".wav"), take.audio, generation.spec.sample_rate)
    media.mux(generation.query, take.audio, generation.spec.sample_rate, stem.with_suffix(".mp4"), metadata=tags)
  shutil.copyfile(directory / "takes" / "01.mp4", directory / "soundtrack.mp4")


def _write_record(generation: Generation, path: Path, so_far: Callable[[], dict[str, float]]) -> None:
  described = _describe(generation) | {"seconds": {k: round(v, 3) for k, v in so_far().items()}}
  path.write_text(json.dumps(described, indent=1) + "\n")


def _describe(generation: Generation) -> dict:
  """Content of generation.json: all that is needed to repeat the result, less seconds."""
  settings = dataclasses.asdict(generation.settings)
  settings |= {"example": str(generation.settings.example), "example_start_s": generation.example_start_s}
  return {
    "version": condfoley_jax.__version__,
    "inputs": _described_inputs(generation.query, generation.settings),
    "settings": settings,
    "weights": generation.weights_id,
    "conventions": dataclasses.asdict(generation.conventions),
    "ranked_by": generation.ranked_by,
    "takes": [_describe_take(t, i) for i, t in enumerate(generation.takes, 1)],
  }


def _described_inputs(query: Path, settings: Settings) -> dict[str, dict]:
  """With where the user chose that the example starts, None where it was found."""
  files = {"query": query, "example": settings.example}
  told = {name: {"path": str(p), "sha256": _sha256(p) if p.is_file() else None} for name, p in files.items()}
  return told | {"example": told["example"] | {"chosen_start_s": settings.example_start_s}}


def _describe_take(take: Take, rank_: int) -> dict:
  segments = [
    {"start_s": a, "end_s": b, "sync_offset_s": s.offset_s, "sync_confidence": s.confidence}
    for a, b, s in take.segments
  ]
  return {"seed": take.seed, "rank": rank_, "onsets_s": take.onsets_s.tolist(), "segments": segments}


def _sha256(path: Path) -> str:
  with open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()
