"""Numeric test vectors of the published system: where they are and the rule that fills weights and inputs.

The vectors live outside the checkout (`CONDFOLEY_GOLDEN`, else `../shared/golden`); tests that need them carry the
`golden` marker and are skipped with a reason when the folder is absent.
"""

import json
import os
import pathlib
import zlib

import numpy as np
import pytest

_DEFAULT = pathlib.Path(__file__).resolve().parents[2] / "shared" / "golden"
DIRECTORY = pathlib.Path(os.environ.get("CONDFOLEY_GOLDEN", _DEFAULT))


def require() -> None:
  """Skips the calling test where the vectors are absent; fails it where a folder was named that has none."""
  if not (DIRECTORY / "salt.txt").exists():
    if "CONDFOLEY_GOLDEN" in os.environ:
      pytest.fail(f"no golden vectors in {DIRECTORY}, which CONDFOLEY_GOLDEN names")
    pytest.skip(f"no golden vectors in {DIRECTORY} (set CONDFOLEY_GOLDEN)")


def load(name: str):
  """Arrays of `name` (npz or json)."""
  require()
  path = DIRECTORY / name
  return json.loads(path.read_text()) if path.suffix == ".json" else np.load(path, allow_pickle=False)


def assert_close(ours, theirs, tolerance: float = 1e-4) -> None:
  """Fails where a value is off by more than `tolerance` of the largest published one."""
  ours, theirs = np.asarray(ours), np.asarray(theirs)
  assert ours.shape == theirs.shape, f"{ours.shape} is not {theirs.shape}"
  off, largest = np.abs(ours - theirs).max(), np.abs(theirs).max()
  assert off <= tolerance * largest, f"off by {off:.2e}, which is {off / largest:.1e} of {largest:.3g}"


def sure(margin: np.ndarray) -> np.ndarray:
  """Which greedy tokens must match: those before the first that was won by 1e-3 or less, bool like `margin`."""
  return np.cumprod(np.asarray(margin) > 1e-3, axis=-1).astype(bool)


def rng(name: str) -> np.random.Generator:
  salt = (DIRECTORY / "salt.txt").read_text().strip()
  return np.random.default_rng(zlib.crc32((salt + name).encode()))


def rnd(name: str, shape: tuple[int, ...]) -> np.ndarray:
  """Standard normal input of that name, float32."""
  return rng(name).standard_normal(shape).astype(np.float32)


def state_dict(keys_name: str) -> dict[str, np.ndarray]:
  """PyTorch-shaped float32 weights by the golden rule for `keys_<keys_name>.json`; untouched buffers are left out."""
  keys = load(f"keys_{keys_name}.json")
  return {k: w for k, shape in keys.items() if (w := _fill(k, tuple(shape))) is not None}


def _fill(key: str, shape: tuple[int, ...]) -> np.ndarray | None:
  last = key.rsplit(".", 1)[-1]
  n = rnd(key, shape)
  if last == "running_mean":
    return 0.1 * n
  if last == "running_var":
    return 1 + 0.1 * np.abs(n)
  if last in ("num_batches_tracked", "mask", "forward_shuffle_idx", "backward_shuffle_idx", "shift", "scale"):
    return None
  if last == "bias":
    return 0.1 * n
  if last == "weight_g" or (last in ("weight", "weight_v") and n.ndim == 1):
    return 1 + 0.1 * n
  if key.endswith("tok_emb.weight"):
    return np.float32(0.02) * n
  if key.endswith("quantize.embedding.weight"):
    return np.float32(0.1) * n
  if last in ("weight", "weight_v"):
    return n * np.float32(1 / np.sqrt(np.prod(shape[1:])))
  return np.float32(0.02) * n
