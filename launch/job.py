"""What is to be run on slices, as TPU VMs and GKE are both told of it."""

import argparse
import dataclasses
import hashlib
import json
import re
from pathlib import Path, PurePosixPath

from data_pipelines.errors import InputError
from launch import build, machines
from launch.machines import Machines

# Folder here for what launchers note of their jobs.
LOCAL = Path("out/launch")
# File there, in a folder of the job's name, that tells of it.
NOTE = "job.json"
CAPACITIES = ("on-demand", "spot", "reserved")
# Option of a command that names the folder of its results.
_RESULT = {"train": "--workdir", "generate": "--out", "evaluate": "--out"}


@dataclasses.dataclass(frozen=True)
class Job:
  """A command of `condfoley` on slices of TPUs.

  It runs in a folder that is the bucket, on every host, so that it reads and writes the paths that it would here: the
  bucket's `out/data/train` for `out/data/train`. `train` is one run over all slices; `generate --batch` is one run per
  slice, each with its share of the rows.

  Attributes:
    name: of the job, and of what is made for it in the cloud.
    topology: of each slice, as in `launch.topology`.
    slices: how many.
    capacity: of `CAPACITIES`.
    bucket: of Cloud Storage, without gs://.
    words: of `condfoley`.
    commit: of the code that runs.

  Raises:
    InputError: a part cannot be used, or they do not go together.
  """

  name: str
  topology: str
  slices: int
  capacity: str
  bucket: str
  words: tuple[str, ...]
  commit: str

  def __post_init__(self):
    if not re.fullmatch(r"[a-z](?:[-a-z0-9]{0,42}[a-z0-9])?", self.name):
      raise InputError(f"--name {self.name}: use at most 44 of a-z, 0-9 and -, a letter first and no - last")
    if not re.fullmatch(r"[a-z0-9][-_.a-z0-9]{1,61}[a-z0-9]", self.bucket):
      raise InputError(f"--bucket {self.bucket}: not the name of a bucket; leave out gs:// and folders")
    if self.slices < 1:
      raise InputError(f"--slices {self.slices}: must be 1 or more")
    if not self.words or self.words[0] not in _RESULT:
      raise InputError(f"give a command of condfoley after --, one of {', '.join(_RESULT)}")
    if self.words[0] == "generate" and "--batch" not in self.words:
      raise InputError("generate: on slices it makes the rows of a table; give --batch JOBS")
    machines.of(self.topology)
    self._check_result()
    if not self.is_one and self.machines.hosts > 1:
      raise InputError(f"{self.topology}: {self.words[0]} takes slices of one host, v5e:2x4 for example; add --slices")
    if self.words[0] == "evaluate" and self.slices > 1:
      raise InputError("--slices: evaluate runs on one")

  def _check_result(self) -> None:
    option = _RESULT[self.words[0]]
    if self.result.is_absolute() or ".." in self.result.parts or not self.result.parts:
      raise InputError(f"{option} {self.result}: in the bucket it is a folder such as out/x; give a relative path")

  @property
  def machines(self) -> Machines:
    """Of each slice."""
    return machines.of(self.topology)

  @property
  def is_one(self) -> bool:
    """Whether all hosts are one run, not each slice its own."""
    return self.words[0] == "train"

  @property
  def in_parts(self) -> bool:
    """Whether there are results where it ends with an error: of a table the rows that could be made."""
    return self.words[0] == "generate"

  @property
  def result(self) -> PurePosixPath:
    """Folder of the results, in the bucket and here."""
    option = _RESULT[self.words[0]]
    for word, following in zip(self.words, [*self.words[1:], ""], strict=True):
      if word == option or word.startswith(f"{option}="):
        return PurePosixPath(following if word == option else word.partition("=")[2])
    raise InputError(f"{self.words[0]}: give {option} DIR")

  @property
  def id(self) -> str:
    """A label of all that it is, by which what was made for it is known again."""
    # With a letter in front: digits alone, or with one e among them, are numbers to some who read them.
    return "j" + hashlib.sha256(repr(dataclasses.astuple(self)).encode()).hexdigest()[:8]

  def shares(self) -> list["Job"]:
    """The jobs that it consists of: itself, or where each slice runs by itself, one for each, with its share."""
    if self.is_one or self.slices == 1:
      return [self]
    return [
      dataclasses.replace(
        self, name=f"{self.name}-{i + 1}", slices=1, words=(*self.words, "--shard", f"{i + 1}/{self.slices}")
      )
      for i in range(self.slices)
    ]

  def fetch(self, project: str | None) -> list[str]:
    """The gcloud command that brings results here, less the checkpoints."""
    words = ["gcloud", "storage", "rsync", f"gs://{self.bucket}/{self.result}", str(self.result), "--recursive"]
    return [*words, "--exclude=(^|.*/)checkpoints/.*", *([f"--project={project}"] if project else []), "--quiet"]

  @property
  def local(self) -> Path:
    """Folder here for the launcher's own records of the job."""
    return LOCAL / self.name


def left(wanted: Job) -> list[Job]:
  """The shares of a job, and those that earlier launches of its name noted here, however many those were.

  Raises:
    InputError: such a note is damaged.
  """
  found = {one.name: one for one in [*wanted.shares(), wanted]}
  for path in sorted(LOCAL.glob(f"{wanted.name}-*/{NOTE}")):
    try:
      told = json.loads(path.read_text(encoding="utf-8"))
      noted = Job(**{**told, "words": tuple(told["words"])})
    except (ValueError, TypeError, KeyError) as error:
      raise InputError(f"{path}: damaged; remove it, and name the --slices of that launch") from error
    # Another job may have such a name too.
    if noted.words[-2:-1] == ("--shard",) and noted.name == f"{wanted.name}-{noted.words[-1].partition('/')[0]}":
      found[noted.name] = noted
  return list(found.values())


def from_arguments(args: argparse.Namespace) -> Job:
  """The job that the flags of `add_arguments` tell of.

  Raises:
    InputError: as `Job`, or the tree has changes that are not committed and that is not allowed.
  """
  commit = build.commit(allow_dirty=args.allow_dirty or args.dry_run or args.delete)
  return Job(args.name, args.topology, args.slices, args.capacity, args.bucket, tuple(args.words), commit)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """The flags of a job."""
  add = parser.add_argument
  add("--name", required=True, metavar="NAME", help="of the job")
  add("--topology", required=True, metavar="CHIP:SIZES", help="of a slice, for example v5e:4x4")
  add("--slices", type=int, default=1, metavar="N", help="how many (default: 1)")
  add("--capacity", choices=CAPACITIES, default=CAPACITIES[0], help="what is rented (default: on-demand)")
  add("--bucket", required=True, metavar="BUCKET", help="of Cloud Storage, the folder that the command runs in")
  add("--project", metavar="ID", help="of Google Cloud (default: gcloud's own)")
  add("--restarts", type=int, default=20, metavar="N", help="after pre-emption or failure (default: 20)")
  add("--allow-dirty", action="store_true", help="run what is not committed too")
  add("--dry-run", action="store_true", help="only print the commands")
  add("--delete", action="store_true", help="only delete what an earlier launch has left")
  add("words", nargs="+", metavar="WORDS", help="of condfoley, after --")
