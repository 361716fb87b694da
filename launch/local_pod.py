"""Several processes on this machine as the hosts of a pod.

    python -m launch.local_pod --processes 4 --devices 2 -- WORDS

WORDS are those of `condfoley`, for example `train --config ... --workdir ...`. Each process has its devices, of the
CPU, and is told of the others as a host of a TPU slice is. Where one dies all are begun again, and go on from the last
checkpoint: what a pod does when a host is taken away.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_pipelines.errors import InputError
from launch import command, supervise
from launch.supervise import Phase, State

_LOOK_S = 0.2
# Of what a process that failed wrote last.
_SHOWN_LINES = 5


def main(argv: Sequence[str] | None = None) -> int:
  """The job's exit code; with a line on stderr 2 for wrong use, 1 for a job that was lost too often."""
  args = _parser().parse_args(argv)
  return command.run("local_pod", lambda say: _run(args, say))


def _run(args: argparse.Namespace, say: command.Say) -> int:
  for flag, least in (("processes", 1), ("devices", 1), ("restarts", 0)):
    if (value := getattr(args, flag)) < least:
      raise InputError(f"--{flag} {value}: must be {least} or more")
  with tempfile.TemporaryDirectory(prefix="local-pod-") as logs:
    pod = LocalPod(args.words, args.processes, args.devices, Path(logs))
    return supervise.run(pod, restarts=args.restarts, pause=lambda: time.sleep(_LOOK_S), say=say)


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(prog="local_pod", description=__doc__.partition("\n")[0])
  parser.add_argument("--processes", type=int, default=2, metavar="N", help="hosts (default: 2)")
  parser.add_argument("--devices", type=int, default=1, metavar="N", help="of each host (default: 1)")
  parser.add_argument("--restarts", type=int, default=3, metavar="N", help="at most (default: 3)")
  parser.add_argument("words", nargs="+", metavar="WORDS", help="of `condfoley`, after --")
  return parser


class LocalPod:
  """Processes that train together; a `supervise.Backend`.

  Args:
    words: of `condfoley`.
    processes: of the pod.
    devices: of each.
    logs: folder for what all but the first write; that one writes to the terminal.

  Attributes:
    running: processes by number, once the pod is begun.
  """

  def __init__(self, words: Sequence[str], processes: int, devices: int, logs: Path):
    self._words, self._processes, self._devices, self._logs = words, processes, devices, logs
    self.running: list[subprocess.Popen] = []

  def begin(self) -> None:
    """Starts all processes."""
    address = f"127.0.0.1:{_free_port()}"
    for number in range(self._processes):
      with self._log(number).open("wb") as log:
        self.running.append(
          subprocess.Popen(
            [sys.executable, "-m", "condfoley_jax.cli", *self._words],
            env={**os.environ, **environment(address, self._processes, number, self._devices)},
            stdout=None if number == 0 else log,
            stderr=None if number == 0 else log,
          )
        )

  def state(self) -> State:
    """Lost where one process has died of a signal; ended where all have ended, or one by itself with an error."""
    codes = [process.poll() for process in self.running]
    failed = [number for number, code in enumerate(codes) if code]
    if failed:
      number, code = failed[0], codes[failed[0]]
      if code < 0:
        return State(Phase.LOST, told=f"process {number} was killed by signal {-code}")
      # All ending alike is what SIGTERM, or a config that cannot be used, makes of them; each has told why.
      return State(Phase.ENDED, code, f"process {number} ended with exit code {code}{self._last_words(number)}")
    return State(Phase.RUNNING) if None in codes else State(Phase.ENDED, 0)

  def end(self) -> None:
    """Kills what still runs: without one of them the others wait for it."""
    for process in self.running:
      if process.poll() is None:
        process.kill()
    for process in self.running:
      process.wait()
    self.running.clear()

  def _log(self, number: int) -> Path:
    return self._logs / f"{number}.log"

  def _last_words(self, number: int) -> str:
    lines = self._log(number).read_text(errors="replace").splitlines()[-_SHOWN_LINES:]
    return ": " + " | ".join(lines) if lines else ""


def environment(address: str, processes: int, number: int, devices: int) -> Mapping[str, str]:
  """What tells a process which of how many it is, and gives it its devices."""
  return {
    "JAX_COORDINATOR_ADDRESS": address,
    "JAX_NUM_PROCESSES": str(processes),
    "JAX_PROCESS_ID": str(number),
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
  }


def _free_port() -> int:
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    return free.getsockname()[1]


if __name__ == "__main__":
  sys.exit(main())
