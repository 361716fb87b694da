"""The code of a commit as a wheel, with the versions that it was tested with: what every host installs."""

import hashlib
import shutil
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

from data_pipelines.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
# What a wheel is made of; other files that lie about make no difference.
_BUILT = (
  "condfoley_jax",
  "configs",
  "data_pipelines",
  "launch",
  "setup.cfg",
  "pyproject.toml",
  "requirements.lock",
  "README.md",
  "LICENSE",
)
# Names in a build's folder.
CONSTRAINTS, HOST = "constraints.txt", "host.sh"


def commit(*, allow_dirty: bool = False, root: Path = ROOT) -> str:
  """The commit that is checked out; where files that are built differ from it and that is allowed, with `-dirty-` and
  eight digits of what there is.

  Raises:
    InputError: it is no git checkout, or files differ.
  """
  head = _git(root, "rev-parse", "HEAD").decode().strip()
  changed = _git(root, "status", "--porcelain", "--", *_BUILT).decode().splitlines()
  if not changed:
    return head
  if not allow_dirty:
    raise InputError(f"{root}: {len(changed)} files are not as committed; commit them, or give --allow-dirty")
  return f"{head}-dirty-{hashlib.sha256(_archive(root, dirty=True)).hexdigest()[:8]}"


def build(out: Path, *, allow_dirty: bool = False, root: Path = ROOT) -> str:
  """Writes the wheel, `constraints.txt` and `host.sh` to the new folder `out`; the commit.

  Raises:
    InputError: as `commit`, or it cannot be built.
  """
  found = commit(allow_dirty=allow_dirty, root=root)
  source = out / "source"
  source.mkdir(parents=True)
  with tarfile.open(fileobj=BytesIO(_archive(root, dirty="-dirty-" in found))) as files:
    files.extractall(source, filter="data")
  words = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(source)]
  made = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, check=False)
  if made.returncode:
    raise InputError(f"{root}: no wheel of it ({(made.stderr.strip().splitlines() or ['?'])[-1]}); run make env first")
  shutil.copy(source / "requirements.lock", out / CONSTRAINTS)
  shutil.copy(source / "launch" / HOST, out / HOST)
  shutil.rmtree(source)
  return found


def _archive(root: Path, *, dirty: bool) -> bytes:
  """A tar file of what is committed, or of the files that are built as they are now."""
  if not dirty:
    return _git(root, "archive", "HEAD")
  names = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *_BUILT).decode().split("\0")
  content = BytesIO()
  with tarfile.open(fileobj=content, mode="w") as files:
    for name in sorted(name for name in names if name and (root / name).exists()):
      files.add(root / name, name, filter=_without_time)
  return content.getvalue()


def _without_time(info: tarfile.TarInfo) -> tarfile.TarInfo:
  info.mtime = 0
  return info


def _git(root: Path, *words: str) -> bytes:
  try:
    return subprocess.run(["git", "-C", str(root), *words], capture_output=True, check=True).stdout
  except (OSError, subprocess.CalledProcessError) as error:
    raise InputError(f"{root}: not a git checkout; launch from a clone of the project") from error
