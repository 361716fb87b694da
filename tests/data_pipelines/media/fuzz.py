"""`make fuzz`: files with random damage go through the media reader, which answers each with a result or InputError.

A case is its number: the same number is the same file. A process that ends or hangs names the case that it was at; one
whose memory keeps growing fails.
"""

import argparse
import contextlib
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.progress import Progress

from data_pipelines import media
from data_pipelines.errors import InputError
from tests.commands import corpus
from tests.data_pipelines.media import making

# What is damaged: small files of every container that is read.
SOURCES = (
  lambda folder: making.write(folder / "a.mp4", making.constant(30, 30), sound=corpus.noise()),
  lambda folder: making.write(folder / "b.mov", making.constant(24, 20), options={"bf": "3"}, sound=corpus.noise()),
  lambda folder: making.write(folder / "c.mkv", making.constant(30, 30), ticks=1000, sound=corpus.noise()),
  lambda folder: making.write(folder / "d.webm", making.constant(15, 15), codec="libvpx-vp9", ticks=1000),
  corpus.copied("e.mp4", {"movflags": "frag_keyframe+empty_moov"}),
  corpus.encoded("f.mp4", "libsvtav1", "yuv420p", (64, 64)),
  corpus.compressed("g.mp3", "libmp3lame"),
  corpus.sound_file("h.wav", corpus.noise()[0]),
  corpus.sound_file("i.flac", corpus.noise()[0]),
)
# A case takes milliseconds; s until it counts as hanging. Memory that a process may gain after its first cases, MiB.
HANGS_S, GAIN_MIB, WARM = 60, 200, 100


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
  """`data` with one to four pieces of damage, half of them in the first or last 2 kB, where headers and indexes are."""
  damaged = bytearray(data)
  for _ in range(rng.integers(1, 5)):
    size = len(damaged)
    if not size:
      break
    at = int(rng.integers(size))
    if rng.random() < 0.5:
      at = int(rng.integers(min(size, 2000))) if rng.random() < 0.5 else size - 1 - int(rng.integers(min(size, 2000)))
    length = int(min(2 ** rng.uniform(0, 9), size - at))
    match rng.integers(7):
      case 0:
        damaged[at] ^= 1 << int(rng.integers(8))
      case 1:
        damaged[at : at + length] = rng.integers(0, 256, length, np.uint8).tobytes()
      case 2:
        damaged[at : at + 4] = int(rng.choice([0, 1, 7, 8, 2**31 - 1, 2**31, 2**32 - 1])).to_bytes(4, "big")
      case 3:
        del damaged[at : at + length]
      case 4:
        damaged[at:at] = damaged[at : at + length]
      case 5:
        del damaged[at:]
      case 6:
        other = int(rng.integers(size))
        damaged[at : at + length] = damaged[other : other + length]
  return bytes(damaged)


def read(path: Path) -> bool:
  """All that is done with a user's file; whether it could be used.

  Raises:
    Exception: of any kind but InputError, which is how a file is refused.
  """
  used = False
  tries = (
    lambda: media.probe(path, sound_alone=True),
    lambda: media.read_tags(path),
    lambda: media.decode_frames(path, 15, 32, duration_s=3.0, damaged_s=[]),
    lambda: media.decode_frames(path, 15, 32, start_s=1.2, duration_s=0.2),
    lambda: media.decode_audio(path, 22050, duration_s=3.0, damaged_s=[]),
    lambda: media.mux(path, np.zeros(22050, np.float32), 22050, path.with_suffix(".out.mp4")),
  )
  for attempt in tries:
    with contextlib.suppress(InputError):
      attempt()
      used = True
  return used


def _work(sources: list[tuple[str, bytes]], cases: range, folder: str, at, out) -> None:
  """One process: the cases one after another; tells the memory that it gained, MiB, and how many files were used."""
  os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # FFmpeg says much of such files.
  first, used = None, 0
  for done, number in enumerate(cases):
    at.value = number
    rng = np.random.default_rng(number)
    name, data = sources[number % len(sources)]
    path = Path(folder) / name
    path.write_bytes(mutated(data, rng))
    try:
      used += read(path)
    except BaseException as error:
      out.put((number, repr(error)))
      return
    if done == WARM:
      first = _memory_mib()
  out.put((None, (_memory_mib() - (first or _memory_mib()), used)))


def _memory_mib() -> float:
  pages = int(Path("/proc/self/statm").read_text().split()[1])
  return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def run(cases: int, first: int = 0, workers: int | None = None) -> list[str]:
  """What went wrong in `cases` cases from number `first` on, a line each."""
  workers = min(workers or os.cpu_count() or 1, cases)
  context, wrong = multiprocessing.get_context("spawn"), []
  with tempfile.TemporaryDirectory() as home, Progress(disable=not sys.stderr.isatty()) as bar:
    sources = [(path.name, path.read_bytes()) for path in _sources(Path(home))]
    task = bar.add_task("fuzz", total=cases)
    started = []
    for worker in range(workers):
      folder = Path(home) / str(worker)
      folder.mkdir()
      share = range(first + worker, first + cases, workers)
      at, out = context.Value("q", -1), context.SimpleQueue()
      process = context.Process(target=_work, args=(sources, share, str(folder), at, out))
      process.start()
      started.append((process, share, at, out))
    for process, share, at, out in started:
      wrong += _watch(process, share, at, out, lambda: bar.update(task, completed=_done(started)))
  return wrong


def _done(started) -> int:
  return sum((at.value - share.start) // share.step for _, share, at, _ in started if at.value >= 0)


def _watch(process, share: range, at, out, show) -> Iterator[str]:
  """Waits for a process; tells what went wrong."""
  seen, since = -1, time.monotonic()
  while process.is_alive():
    process.join(0.5)
    show()
    if at.value != seen:
      seen, since = at.value, time.monotonic()
    elif time.monotonic() - since > HANGS_S:
      process.kill()
      yield f"case {seen}: hangs"
      return
  if out.empty():
    yield f"case {at.value}: the process ended ({process.exitcode})"
    return
  number, told = out.get()
  if number is not None:
    yield f"case {number}: {told}"
  elif told[0] > GAIN_MIB:
    yield f"{len(share)} cases: memory grew by {told[0]:.0f} MiB"
  elif not told[1]:
    yield f"{len(share)} cases: none of the files could be used, so that little was tried"


def _sources(folder: Path) -> Iterator[Path]:
  for number, make in enumerate(SOURCES):
    home = folder / f"source{number}"
    home.mkdir()
    yield make(home)


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--cases", type=int, default=10_000, help="how many")
  parser.add_argument("--first", type=int, default=0, help="number of the first")
  args = parser.parse_args()
  wrong = run(args.cases, args.first)
  for line in wrong:
    print(line, file=sys.stderr)
  print(f"{args.cases} cases from {args.first} on: {len(wrong) or 'nothing'} wrong")
  return 1 if wrong else 0


if __name__ == "__main__":
  sys.exit(main())
