"""What training the shipped weights takes: operations of every stage, beside the time that they need at the least.

`python -m benchmarks.budget` prints the table of docs/weights.md. The least is by this machine's rate for products of
matrices; a config's header says how long its training took.
"""

import importlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax

from benchmarks.training import machine_rate
from condfoley_jax.clip import MINI
from condfoley_jax.hlo import cost
from condfoley_jax.models.keys import Keys
from condfoley_jax.training.program import Program
from condfoley_jax.weights import folder, registry
from configs.models import models

# Of configs/, as they are trained one after the other, and what the command line adds.
STAGES = {
  "classifier": "",
  "vqgan": ",pretrained.lpaps={lpaps}",
  "vocoder": "",
  "video_encoder": "",
  "sync": "",
  "transformer": ",data.cache=unread",
}
_HEAD = ("stage", "parameters, M", "examples a step", "steps", "GFLOP a step", "PFLOP in all", "minutes at the least")


def programs() -> Iterator[tuple[str, Program]]:
  """The training of each stage."""
  with tempfile.TemporaryDirectory() as aside:
    classifier = registry.build("vggishish", models("mini").material_classifier.to_dict(), rngs=Keys(0))
    folder.save(Path(aside), MINI, {"material_classifier": classifier})
    for stage, more in STAGES.items():
      config = importlib.import_module(f"configs.{stage}").get_config("mini" + more.format(lpaps=aside))
      yield stage, Program(config.to_dict())


def rows() -> Iterator[tuple]:
  """One row per stage, as `_HEAD` names them."""
  rate = max(machine_rate() for _ in range(3))
  for stage, program in programs():
    config = program.config
    trained = sum(x.size for x in jax.tree.leaves(program.state.params))
    steps = [program.stage.phase(step) for step in range(config["steps"])]
    flops = {phase: cost.of_text(program.lower(phase).compile().as_text()).flops for phase in set(steps)}
    total = sum(flops[phase] for phase in steps)
    most = max(flops.values()) / 1e9
    yield stage, trained / 1e6, config["batch_size"], config["steps"], most, total / 1e15, total / rate / 60


def main() -> None:
  print(f"| {' | '.join(_HEAD)} |\n|{'---|' * len(_HEAD)}")
  total = [0.0, 0.0]
  for stage, *numbers in rows():
    parameters, batch, steps, flops, *sums = numbers
    total = [a + b for a, b in zip(total, sums, strict=True)]
    print(
      f"| {stage} | {parameters:.2f} | {batch} | {steps:,} | {flops:.0f} | {sums[0]:.2f} | {sums[1]:.0f} |", flush=True
    )
  print(f"| all | | | | | {total[0]:.2f} | {total[1]:.0f} |")


if __name__ == "__main__":
  main()
