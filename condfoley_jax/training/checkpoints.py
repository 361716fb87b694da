"""Orbax checkpoints: training state and the data iterator's state as one step."""

import json
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from condfoley_jax.training.state import TrainState


class Checkpoints:
  """Steps under `directory`, the last `keep` of them; saving goes on in the background."""

  def __init__(self, directory: Path, *, keep: int = 2):
    options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
    self._manager = ocp.CheckpointManager(Path(directory).resolve(), options=options)

  def latest(self) -> int | None:
    """The last complete step, or None."""
    return self._manager.latest_step()

  def save(self, step: int, state: TrainState, iterator_state: Any) -> None:
    """Starts saving; returns once the arrays are copied off the device."""
    self._manager.save(
      step,
      args=ocp.args.Composite(state=ocp.args.StandardSave(state), data=ocp.args.JsonSave(_to_json(iterator_state))),
    )

  def restore(self, step: int, like: TrainState) -> tuple[TrainState, Any]:
    """State with the shapes and shardings of `like`, and the data iterator's state."""
    target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    found = self._manager.restore(
      step, args=ocp.args.Composite(state=ocp.args.StandardRestore(target), data=ocp.args.JsonRestore())
    )
    return found["state"], _from_json(found["data"])

  def close(self) -> None:
    """Waits for what is being saved."""
    self._manager.wait_until_finished()
    self._manager.close()


def _to_json(state: Any) -> dict[str, str]:
  # Grain gives bytes from some iterators and a dict from others; both are JSON inside.
  return {"iterator": state.decode() if isinstance(state, bytes) else json.dumps(state)}


def _from_json(saved: dict[str, str]) -> Any:
  return json.loads(saved["iterator"])
