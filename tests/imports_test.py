"""Imports go one way, and importing the package costs nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import condfoley_jax

ROOT = Path(condfoley_jax.__file__).parents[1]
# Each layer may import those before it, and itself.
LAYERS = (
  ("chips", "clip", "conventions", "hlo", "partition", "sharding", "shapes", "config_tree"),
  ("audio", "augmentation", "figures"),
  ("models",),
  ("weights",),
  ("stages", "sampling"),
  ("training",),
  ("evaluation",),
  ("commands",),
  ("argument_types", "arguments", "cli", "demo", "entry"),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def _imports(path: Path) -> set[str]:
  """Dotted names that a file imports, wherever in the file."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and node.module:
      found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
  return found


def _package_files(package: str) -> list[Path]:
  return sorted((ROOT / package).rglob("*.py"))


def _layer(dotted: str) -> str | None:
  parts = dotted.split(".")
  return parts[1] if parts[0] == "condfoley_jax" and len(parts) > 1 and parts[1] in LEVEL else None


def test_every_part_has_a_layer():
  parts = {p.relative_to(ROOT / "condfoley_jax").parts[0].removesuffix(".py") for p in _package_files("condfoley_jax")}
  assert parts - {"__init__"} == set(LEVEL)


def test_imports_go_one_way():
  wrong = [
    f"{path.relative_to(ROOT)} imports {dotted}"
    for path in _package_files("condfoley_jax")
    if (own := path.relative_to(ROOT / "condfoley_jax").parts[0].removesuffix(".py")) in LEVEL
    for dotted in _imports(path)
    if (layer := _layer(dotted)) and LEVEL[layer] > LEVEL[own]
  ]
  assert not wrong


def test_data_pipelines_import_no_models():
  allowed = {"condfoley_jax", "condfoley_jax.clip", "condfoley_jax.clip.ClipSpec"}
  wrong = [
    f"{path.relative_to(ROOT)} imports {dotted}"
    for path in _package_files("data_pipelines")
    for dotted in _imports(path)
    if dotted.split(".")[0] == "condfoley_jax" and dotted not in allowed
  ]
  assert not wrong


def test_importing_the_package_loads_nothing_heavy():
  code = "import sys, condfoley_jax, condfoley_jax.cli, condfoley_jax.clip; print(*sys.modules)"
  loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
  heavy = {"jax", "flax", "numpy", "av", "librosa", "matplotlib", "tensorflow_datasets", "scipy", "cv2"}
  assert not heavy & set(loaded.split())
