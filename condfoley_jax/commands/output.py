"""What `condfoley generate` leaves on disk: takes, soundtrack, report.html and generation.json."""

import contextlib
import dataclasses
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

import condfoley_jax
from condfoley_jax.commands import markers, page, provenance
from condfoley_jax.commands.generation import Generation, Take, describe_inputs, held_down, timed
from condfoley_jax.commands.settings import Settings
from data_pipelines import interrupt, media
from data_pipelines.errors import InputError, is_utf8

# In the order in which they come; where generation.json is, all the rest is.
NAMES = ("takes", "soundtrack.mp4", "report.html", "generation.json")
# Of each take.
KINDS = ("wav", "mp4", "json", "mid")
_RECORD_TYPES = {"version": str, "inputs": dict, "settings": dict, "weights": str, "takes": list}
# In the folder of a result that is being moved: the one that it replaces.
_EARLIER = "earlier"
# What file managers put into every folder that they show.
_LITTER = {".DS_Store", ".directory", "Thumbs.db", "desktop.ini"}


def check(out: Path, inputs: Sequence[Path], *, force: bool) -> None:
  """Says early that results cannot be written to `out`.

  Args:
    out: the folder.
    inputs: files that are read.
    force: an earlier result may be replaced.

  Raises:
    InputError: it is a file, lies in a folder that cannot be written, holds an earlier result that may not be replaced
      or something under a result's name that is of none, or an input lies where a result goes.
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
  _require_replaceable(out, force)


def _require_replaceable(out: Path, force: bool) -> None:
  """Refuses what is no result of ours, and without `force` what is one."""
  record = _record(out)
  _refuse(_foreign(out, record))
  if record and not force:
    raise InputError(f"{out}: holds an earlier result; replace it with --force, or choose another folder for --out")


def _refuse(foreign: Iterable[Path]) -> None:
  for path in foreign:
    told = "condfoley did not make it, or it is damaged, and it would be replaced"
    raise InputError(f"{path}: {told}; move it away or choose another folder for --out")


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


def _foreign(out: Path, record: dict | None, names: Sequence[str] = NAMES) -> Iterator[Path]:
  """What lies where results of these `names` go and is not of the earlier result of which `record` tells."""
  # generation.json first: where it is damaged, the others are not known for that.
  for path in (out / name for name in reversed(names)):
    is_folder = path.is_dir() and not path.is_symlink()
    if os.path.lexists(path) and not (record and is_folder == (path.name == "takes")):
      yield path
  if record and "takes" in names and (out / "takes").is_dir():
    ours = set(_takes(len(record["takes"])))
    for path in (out / "takes").iterdir():
      if path.is_dir() or path.name not in ours | _LITTER:
        yield path


def _takes(count: int) -> Iterator[str]:
  """Names of the files of so many takes."""
  return (f"{number:02d}.{kind}" for number in range(1, count + 1) for kind in KINDS)


def _record(out: Path) -> dict | None:
  """The generation.json that `write` wrote to `out`; None if there is none, or it is damaged."""
  path = out / "generation.json"
  try:
    record = json.loads(path.read_text()) if path.is_file() else None
  except (OSError, ValueError, RecursionError):
    return None
  if not isinstance(record, dict) or any(not isinstance(record.get(k), kind) for k, kind in _RECORD_TYPES.items()):
    return None
  inputs_are = all(isinstance(told, dict) for told in record["inputs"].values())
  takes_are = record["takes"] and all(_is_take(take) for take in record["takes"])
  if not (inputs_are and takes_are):
    return None
  made = [take for take in record["takes"] if not take.get("retake")]
  return record if len(made) == record["settings"].get("candidates") else None


def _is_take(take: object) -> bool:
  """Whether `take` is what `_describe_take` gives, as far as it is read again."""
  # Neither NaN nor what no float holds.
  number = lambda x: type(x) in (int, float) and abs(x) < 2**32
  return (
    isinstance(take, dict)
    and type(take.get("seed")) is int
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

  Raises:
    InputError: what a killed process left half moved cannot be moved.
  """
  _finish_move(out)
  record = _record(out)
  if record is None or not _is_whole(out, len(record["takes"])):
    return None
  chosen = settings.chosen()
  same = (
    record["version"] == condfoley_jax.__version__
    and record["weights"] == weights_id
    and all(record["settings"].get(k, "") == v for k, v in chosen.items())
    and _without_paths(record["inputs"]) == _without_paths(describe_inputs(query, settings))
  )
  return record if same else None


def _is_whole(out: Path, takes: int) -> bool:
  files = [out / name for name in NAMES if name != "takes"] + [out / "takes" / name for name in _takes(takes)]
  return all(path.is_file() and path.stat().st_size for path in files)


def _without_paths(inputs: dict[str, dict]) -> dict[str, dict]:
  return {name: {k: v for k, v in told.items() if k != "path"} for name, told in inputs.items()}


def write(generation: Generation, out: Path, *, force: bool, weights_dir: Path | None = None) -> dict:
  """Writes the result aside, then moves it to `out`; returns generation.json's content.

  Args:
    generation, out: what to write, and where.
    force: an earlier result is replaced, one that came meanwhile too.
    weights_dir: what the command that repeats the result names; None where they are the shipped ones.

  Raises:
    InputError: the disk is full, `out` cannot be written or holds what no run made or may not be replaced, or an input
      has changed since it was read.
    Interrupted: a signal came before the result was moved.
  """
  require_place(out)  # Something else may have come there meanwhile.
  with refused(out), interrupt.partial_folder(out) as aside:
    with timed("write", generation.seconds) as so_far:
      _write_media(generation, aside)
      record = _write_rest(generation, aside, out, weights_dir, so_far)
    # At the end: each take was made with the query's pictures as they were then.
    _require_unchanged(generation)
    _move(aside, out, force=force)
  return record


def _require_unchanged(generation: Generation) -> None:
  now = describe_inputs(generation.query, generation.settings)
  for name, told in now.items():
    if told != generation.inputs[name]:
      raise InputError(f"{told['path']}: is gone, or has changed since it was read; put it back and run this again")


@contextlib.contextmanager
def refused(out: Path) -> Iterator[None]:
  """Tells what the system refuses to write of `out`, not of the file aside that has no name yet.

  Raises:
    InputError: instead of OSError.
  """
  try:
    yield
  except OSError as error:
    raise InputError(f"{out}: {error.strerror or error}; free some room or choose another folder") from error


def _move(aside: Path, out: Path, *, force: bool) -> None:
  """Moves the result in `aside` to `out`, the earlier one to `aside`: generation.json goes first and comes last."""
  # What has come since `check` looked is nobody's to replace.
  _require_replaceable(out, force)
  (aside / _EARLIER).mkdir()
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
  """Does what is left of a move in the midst of which a process was killed: both results are there, in two places.

  Raises:
    InputError: somebody put something there since, or it cannot be moved.
  """
  for aside in interrupt.abandoned(out):
    earlier = aside / _EARLIER
    if not earlier.is_dir():
      continue
    left = [name for name in NAMES if os.path.lexists(aside / name)]
    _refuse(out / name for name in left if os.path.lexists(out / name) and os.path.lexists(earlier / name))
    _refuse(_foreign(out, _record(out) or _record(earlier), left))
    with refused(out), interrupt.held():
      for source, target in _moves(aside, out):
        os.replace(source, target)
      shutil.rmtree(aside)


def _write_media(generation: Generation, directory: Path) -> None:
  (directory / "takes").mkdir()
  under = _under(generation)
  for number in range(1, len(generation.takes) + 1):
    _write_take(generation, number, directory, under)
  shutil.copyfile(directory / "takes" / "01.mp4", directory / "soundtrack.mp4")


def _write_take(generation: Generation, number: int, directory: Path, under: np.ndarray | None) -> None:
  """The files of one take, `under` which is the query's own sound in the mp4."""
  take, rate, stem = generation.takes[number - 1], generation.spec.sample_rate, directory / "takes" / f"{number:02d}"
  tags = provenance.tags(generation, take)
  media.write_wav(stem.with_suffix(".wav"), take.audio, rate, metadata=tags)
  sound = take.audio if under is None else held_down(take.audio + under, rate)[0]
  media.mux(generation.query, sound, rate, stem.with_suffix(".mp4"), metadata=tags)
  markers.write(stem, take, rate)


def _write_rest(
  generation: Generation, directory: Path, out: Path, weights_dir: Path | None, seconds: Callable[[], dict[str, float]]
) -> dict:
  """The report and generation.json, whose content it gives."""
  command = page.command_of(generation, out, weights_dir)
  page.write([generation], directory, title=generation.query.name, command=command, seconds=seconds, home=out)
  record = _describe(generation) | {"seconds": {k: round(v, 3) for k, v in seconds().items()}}
  (directory / "generation.json").write_text(json.dumps(record, indent=1) + "\n")
  return record


def _under(generation: Generation) -> np.ndarray | None:
  """The query's own sound as it is mixed under the takes, float32 [N]; None where it is not."""
  level_db = generation.settings.original_db
  if level_db is None:
    return None
  spec, samples = generation.spec, len(generation.takes[0].audio)
  length = {"duration_s": samples / spec.sample_rate}
  own = media.decode_audio(generation.query, spec.sample_rate, damaged_s=[], **length)
  own *= np.float32(10 ** (level_db / 20))
  return own


def _describe(generation: Generation) -> dict:
  """Content of generation.json: all that is needed to repeat the result, less seconds."""
  examples = [
    {"path": str(example.path), "start_s": start_s, "from_s": example.from_s, "to_s": example.to_s}
    for example, start_s in zip(generation.settings.examples, generation.starts_s, strict=True)
  ]
  return {
    "version": condfoley_jax.__version__,
    # From which the paths of inputs go on, where they are not whole.
    "folder": os.getcwd(),
    "inputs": generation.inputs,
    "settings": {"examples": examples, **generation.settings.chosen()},
    "weights": generation.weights_id,
    "conventions": dataclasses.asdict(generation.conventions),
    "ranked_by": generation.ranked_by,
    "takes": [_describe_take(t, i) for i, t in enumerate(generation.takes, 1)],
    "damaged_s": generation.damaged_s,
    "onset_curve": [round(float(chance), 4) for chance in generation.seen],
  }


def recorded(out: Path) -> dict:
  """The generation.json of a result; paths of inputs are whole.

  Raises:
    InputError: there is none, or none that this version wrote, or some of the result is gone.
  """
  _finish_move(out)
  record = _record(out)
  if record is None or not _is_whole(out, len(record["takes"])):
    raise InputError(f"{out}: holds no whole result of condfoley generate; name its --out")
  if record["version"] != condfoley_jax.__version__:
    raise InputError(f"{out}: was made by condfoley {record['version']}; run generate again, or that version")
  for told in record["inputs"].values():
    if isinstance(told.get("path"), str):
      told["path"] = os.path.join(str(record.get("folder", "")), told["path"])
  return record


def add_take(generation: Generation, out: Path, *, weights_dir: Path | None = None) -> None:
  """Writes the result anew with its last take, which is not there yet; the files of the others stay what they are.

  Raises:
    InputError: the disk is full, `out` cannot be written or holds what no run made, or an input has changed.
    Interrupted: a signal came before it was there.
  """
  with refused(out), interrupt.partial_folder(out) as aside:
    (aside / "takes").mkdir()
    for name in _takes(len(generation.takes) - 1):
      _link(out / "takes" / name, aside / "takes" / name)
    _link(out / "soundtrack.mp4", aside / "soundtrack.mp4")
    with timed("write", generation.seconds) as so_far:
      _write_take(generation, len(generation.takes), aside, _under(generation))
      _write_rest(generation, aside, out, weights_dir, so_far)
    _require_unchanged(generation)
    _move(aside, out, force=True)


def _link(source: Path, target: Path) -> None:
  """The same file under another name, or a copy where the file system has no such links."""
  try:
    os.link(source, target)
  except OSError:
    shutil.copyfile(source, target)


def _describe_take(take: Take, rank_: int) -> dict:
  segments = [
    {"start_s": a, "end_s": b, "sync_offset_s": s.offset_s, "sync_confidence": s.confidence}
    for a, b, s in take.segments
  ]
  peak_db = None if take.peak == 0 else round(20 * math.log10(take.peak), 2)
  loud = {"loudness_lufs": None if take.lufs is None else round(take.lufs, 2), "true_peak_dbtp": peak_db}
  told = {"seed": take.seed, "rank": rank_, "onsets_s": take.onsets_s.tolist(), **loud, "gain": take.gain}
  return told | ({"retake": take.retake._asdict()} if take.retake else {}) | {"segments": segments}
