"""What the names in a PyTorch checkpoint stand for, when nothing of them is imported.

Classes of packages are inert: authors keep their configuration and the state of their trainer beside the weights. Names
of the standard library and of functions are refused but for those below, which honest checkpoints have: what names
`os.system` was made to run it.
"""

import sys

from condfoley_jax.weights.pickled import Inert, Malformed, shown

_BUILTINS = "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple"
_NUMPY_ARRAYS = "_reconstruct scalar"
_PATHS = "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath"
# What is called with nothing happening. PyTorch writes some names as Python 2 had them, and NumPy 1 had one otherwise.
_INERT = {
  "__builtin__": f"{_BUILTINS} long unicode xrange",
  "builtins": _BUILTINS,
  "_codecs": "encode",
  "argparse": "Namespace",
  "collections": "Counter defaultdict deque",
  "copy_reg": "_reconstructor",
  "copyreg": "_reconstructor",
  "datetime": "date datetime time timedelta timezone",
  "decimal": "Decimal",
  "enum": "Enum Flag IntEnum IntFlag StrEnum",
  "numpy": "dtype ndarray",
  "numpy._core.multiarray": _NUMPY_ARRAYS,
  "numpy.core.multiarray": _NUMPY_ARRAYS,
  "operator": "getitem",
  "pathlib": _PATHS,
  "pathlib._local": _PATHS,
  "torch": (
    "bfloat16 bool complex128 complex64 device float16 float32 float64 int16 int32 int64 int8 "
    "uint16 uint32 uint64 uint8"
  ),
  "typing": "Any Callable Dict List Optional Sequence Set Tuple Type Union",
}
_STANDARD = sys.stdlib_module_names | {"__builtin__", "commands", "copy_reg", "exceptions"}


def inert(module: str, name: str) -> Inert:
  """Stands for a class; an outer class's name may stand before its own ("Outer.Inner").

  Raises:
    Malformed: the name is one that a checkpoint has no business with.
  """
  whole = f"{module}.{name}"
  if name not in _INERT.get(module, "").split() and (_is_standard(module) or not _is_class(name)):
    raise Malformed(f"it tries to call {shown(whole)}")
  return Inert(whole)


def _is_standard(module: str) -> bool:
  return module.split(".")[0] in _STANDARD


def _is_class(name: str) -> bool:
  return name.rpartition(".")[2].lstrip("_")[:1].isupper()
