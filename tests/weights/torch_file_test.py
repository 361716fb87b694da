"""Checkpoints that PyTorch wrote come back; hostile and damaged ones are refused in one line and run nothing."""

import copyreg
import os
import pickle
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condfoley_jax.weights import torch_file
from condfoley_jax.weights.pickled import Inert
from data_pipelines.errors import InputError
from tests.weights.torch_writer import Call, Instance, Name, Raw, View, pickled, write

FILES = Path(__file__).parent / "torch_files"
FIXTURES = ["plain.pt", "plain_old.pt", "lightning.pt", "lightning_old.pt"]
ONES = np.ones((2, 3), np.float32)
MAGIC, PROTOCOL, FACTS = 0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}


def refusal(path, match=None) -> str:
  with pytest.raises(InputError, match=match) as error:
    torch_file.state_dict(path)
  assert str(path) in str(error.value) and ";" in str(error.value) and "\n" not in str(error.value)
  return str(error.value)


def archive(path, entries, compression=zipfile.ZIP_STORED):
  with zipfile.ZipFile(path, "w", compression) as file:
    for name, data in entries.items():
      file.writestr(name, data)
  return path


def entries(path):
  with zipfile.ZipFile(path) as file:
    return {entry.filename: file.read(entry) for entry in file.infolist()}


def stream(path, *objects, storages=()):
  """The format before 1.6, of what is given."""
  data = b"".join(len(x).to_bytes(8, "little") + x.tobytes() for x in storages)
  path.write_bytes(b"".join(pickled(x, []) for x in objects) + data)
  return path


def old(path, tree, keys=("0",)):
  return stream(path, MAGIC, PROTOCOL, FACTS, tree, list(keys), storages=[np.arange(6, dtype=np.float32)])


def tensor(storage, offset=0, shape=(2, 3), strides=(3, 1)):
  persistent = Raw(pickled(storage, [])[2:-1] + b"Q")
  return Call(Name("torch._utils", "_rebuild_tensor_v2"), (persistent, offset, shape, strides, False, None))


FLOATS = Name("torch", "FloatStorage")


@pytest.mark.parametrize("name", FIXTURES)
def test_tensors_of_pytorch_come_back(name):
  expected, found = np.load(FILES / "expected.npz"), torch_file.state_dict(FILES / name)
  assert list(found) == list(expected)
  assert found["bfloat16"].dtype == ml_dtypes.bfloat16
  for key, x in expected.items():
    np.testing.assert_array_equal(found[key].astype(x.dtype), x)
    assert key == "bfloat16" or found[key].dtype == x.dtype
  assert np.shares_memory(found["tied.a"], found["tied.b"])


@pytest.mark.parametrize("name", ["lightning.pt", "lightning_old.pt"])
def test_what_lies_beside_the_state_dict_comes_back_and_classes_are_inert(name):
  found = torch_file.read(FILES / name)
  assert found["epoch"] == 3
  ((callback, state),) = found["callbacks"].items()
  assert callback.name == "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"
  assert state["best_model_score"].array() == 0.5
  assert isinstance(found["hyper_parameters"], Inert) and (2, 3) in found["extras"]
  np.testing.assert_array_equal(found["optimizer_states"][0]["state"][0]["exp_avg"].array(), [2, 2, 2])


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict"])
def test_a_state_dict_is_found_in_its_checkpoint(tmp_path, key):
  write(tmp_path / "x.pt", {"epoch": 1, key: {"module.a": ONES, "module.b.module.c": ONES}})
  assert list(torch_file.state_dict(tmp_path / "x.pt")) == ["a", "b.module.c"]


def test_module_is_kept_where_some_names_are_without_it(tmp_path):
  write(tmp_path / "x.pt", {"module.a": ONES, "b": ONES})
  assert list(torch_file.state_dict(tmp_path / "x.pt")) == ["module.a", "b"]


def test_every_dtype_and_shape_of_the_writer_comes_back(tmp_path):
  arrays = {
    str(dtype): np.arange(24).reshape(2, 3, 4).astype(dtype).transpose(2, 0, 1)
    for dtype in [bool, "u1", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "c8", "c16", ml_dtypes.bfloat16]
  }
  arrays |= {"scalar": np.array(3.5), "empty": np.zeros((0, 4))}
  write(tmp_path / "größe.pt", arrays)
  for name, x in torch_file.state_dict(tmp_path / "größe.pt").items():
    np.testing.assert_array_equal(x, arrays[name], strict=True)


def test_only_what_is_used_is_read_and_stays_in_the_file(tmp_path):
  path = tmp_path / "x.pt"
  write(path, {"optimizer": np.full(5, 2, np.float32), "state_dict": {"a": ONES}})
  path.write_bytes(path.read_bytes().replace(np.full(5, 2, np.float32).tobytes(), bytes(20)))
  found = torch_file.state_dict(path)["a"]
  np.testing.assert_array_equal(found, ONES)
  assert not found.flags.writeable and not found.flags.owndata
  with pytest.raises(InputError, match=r"x\.pt: its entry 'data/0' is damaged"):
    torch_file.read(path)["optimizer"].array()


def test_files_without_a_folder_or_of_another_name_are_read(tmp_path):
  write(tmp_path / "x.pt", {"a": ONES})
  for folder in ["", "modèle/"]:
    renamed = {name.replace("archive/", folder): data for name, data in entries(tmp_path / "x.pt").items()}
    assert list(torch_file.state_dict(archive(tmp_path / "y.pt", renamed))) == ["a"]


def test_views_of_old_storages_are_read(tmp_path):
  view = ("storage", FLOATS, "0", "cpu", 6, ("1", 2, 3))
  path = old(tmp_path / "x.pt", {"a": tensor(view, 1, (2,), (1,))})
  np.testing.assert_array_equal(torch_file.state_dict(path)["a"], [3, 4])


# Each would make the marker file.
HOSTILE = {
  "os.system": lambda touch: Call(Name("os", "system"), (touch,)),
  "posix.system": lambda touch: Call(Name("posix", "system"), (touch,)),
  "__builtin__.eval": lambda touch: Call(Name("__builtin__", "eval"), (python(touch),)),
  "builtins.exec": lambda touch: Call(Name("builtins", "exec"), (python(touch),)),
  "builtins.__import__": lambda touch: Call(Name("builtins", "__import__"), ("os",)),
  "builtins.getattr": lambda touch: Call(Name("builtins", "getattr"), (Name("os", "path"), "os")),
  "subprocess.Popen": lambda touch: Raw(b"(csubprocess\nPopen\n" + code(touch, True) + b"NNNNNN\x88o"),
  "subprocess.Popen ": lambda touch: Raw(b"(" + code(touch, True) + b"isubprocess\nPopen\n"),
  "torch.hub.load": lambda touch: Call(Name("torch.hub", "load"), (touch, "x")),
  "torch.load": lambda touch: Call(Name("torch", "load"), (touch,)),
  "torch.storage._load_from_bytes": lambda touch: Call(
    Name("torch.storage", "_load_from_bytes"), (pickled(Call(Name("os", "system"), (touch,)), []).decode("latin1"),)
  ),
  "numpy.testing._private.utils.runstring": lambda touch: Call(
    Name("numpy.testing._private.utils", "runstring"), (python(touch), {})
  ),
  "torch.os.system": lambda touch: Raw(code("torch", "os.system") + b"\x93" + code((touch,)) + b"R"),
  "torch.Hub.load": lambda touch: Raw(code("torch", "Hub.load") + b"\x93"),
  "collections.abc.sys.modules": lambda touch: Raw(code("collections", "abc.sys.modules") + b"\x93"),
  "os.System": lambda touch: Raw(code("os", "System") + b"\x93"),
  r"os\nx.system": lambda touch: Raw(code("os\nx", "system") + b"\x93"),
  "functools.partial": lambda touch: Call(Name("functools", "partial"), (Name("os", "system"), touch)),
}


def code(*parts):
  return b"".join(pickled(part, [])[2:-1] for part in parts)


def python(command):
  return f"__import__('os').system({command!r})"


@pytest.fixture
def marker(tmp_path):
  yield tmp_path / "marker"
  assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("place", ["zip", "magic", "facts", "tree", "keys"])
def test_a_call_is_refused_by_name_and_does_not_happen(tmp_path, marker, name, place):
  path, call = tmp_path / "x.pt", HOSTILE[name](f"touch {marker}")
  if place == "zip":
    write(path, {"state_dict": {"a": ONES}, "extra": [call]})
  else:
    parts = {"magic": MAGIC, "protocol": PROTOCOL, "facts": FACTS, "tree": {}, "keys": []}
    stream(path, *(parts | {place: call}).values())
  assert f"tries to call '{name.strip()}'" in refusal(path)


@pytest.mark.parametrize("name", ["os.system", "__builtin__.eval", "builtins.exec"])
def test_the_calls_would_happen_in_an_unpickler_that_makes_them(tmp_path, name):
  pickle.loads(pickled(HOSTILE[name](f"touch {tmp_path / 'marker'}"), []))
  assert (tmp_path / "marker").exists()


def test_extension_codes_are_refused(tmp_path, marker):
  copyreg.add_extension("os", "system", 0x77)
  try:
    path = stream(tmp_path / "x.pt", Raw(b"\x82\x77" + code((f"touch {marker}",)) + b"R"))
    refusal(path, "an instruction EXT1")
  finally:
    copyreg.remove_extension("os", "system", 0x77)


PACKAGE = Name("omegaconf.dictconfig", "DictConfig")
HARMLESS = {
  "a class called": Call(PACKAGE, ("touch marker",)),
  "an object called": Call(Call(PACKAGE), ("touch marker",)),
  "an object by OBJ": Raw(b"(" + code(PACKAGE, 1) + b"o"),
  "an object by INST": Raw(b"(" + code(1) + b"iomegaconf.dictconfig\nDictConfig\n"),
  "an object with keywords": Raw(code(PACKAGE, (), {}) + b"\x92"),
  "a state": Instance(PACKAGE, {"__class__": PACKAGE, "__setstate__": PACKAGE}),
  "a state of a class": Raw(code(PACKAGE, {"__call__": PACKAGE}) + b"b"),
  "attributes of a class": Raw(code(PACKAGE, (None, {"__call__": PACKAGE})) + b"b"),
  "a state of OrderedDict": Raw(code(Name("collections", "OrderedDict"), {"update": PACKAGE}) + b"b"),
  "a state of a builder": Raw(code(Name("torch._utils", "_rebuild_tensor_v2"), {"build": PACKAGE}) + b"b"),
  "items": Raw(code(Call(PACKAGE), "a", 1) + b"s" + code(1) + b"a"),
  "an inner class": Raw(code("package", "Outer.Inner") + b"\x93"),
  "a class of a script": Call(Name("__main__", "Config")),
  "a set": Raw(b"\x8f(" + code(1, 2) + b"\x90"),
  "a frozen set": Raw(b"(" + code(1, 2) + b"\x91"),
  "a huge memo": Raw(b"Nr\xff\xff\xff\xff"),
  "itself": Raw(b"]q\x01h\x01a"),
  "depth": Raw(b")" + b"\x85" * 200_000),
  "depth of lists": Raw(b"]" * 50_000 + b"a" * 49_999),
  "a pop": Raw(b"N(N1(00N"),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_inert_changes_nothing(tmp_path, name):
  write(tmp_path / "x.pt", {"extra": HARMLESS[name], PACKAGE: 1, "state_dict": {"a": ONES}})
  np.testing.assert_array_equal(torch_file.state_dict(tmp_path / "x.pt")["a"], ONES)


WRONG_PICKLES = {
  "a number called": (Call(3), "calls what is no class"),
  "nested keys": (Raw(b"}" + b")" + b"\x85" * 200_000 + b"Ns"), "nested tuples as keys"),
  "keys without a hash": ({Raw(b"]"): 1}, "damaged"),
  "a key without a value": (Raw(b"}(Nu"), "damaged"),
  "items of a number": (Raw(code(3, 1) + b"a"), "what is no list"),
  "keys of a number": (Raw(code(3, 1, 1) + b"s"), "what is no dict"),
  "nothing to pop": (Raw(b"000"), "takes more than it has"),
  "below the mark": (Raw(b"NN(R"), "takes more than it has"),
  "no mark": (Raw(b"t"), "damaged"),
  "an unknown memo": (Raw(b"h\x07"), "damaged"),
  "no opcode": (Raw(b"\xff"), "damaged"),
  "a name of numbers": (Raw(code(1, 2) + b"\x93"), "what is no name"),
  "a long name": (Raw(code("a" * 300, "B") + b"\x93"), "what is no name"),
  "items in OrderedDict()": (Call(Name("collections", "OrderedDict"), ([],)), "damaged"),
  "a buffer": (Raw(b"\x97"), "an instruction NEXT_BUFFER"),
  "text as storage": (Raw(b"P0\n"), "refers to what is no storage"),
  "no storage": (Raw(code(("storage", PACKAGE, "0", "cpu", 6)) + b"Q"), "refers to what is no storage"),
  "a module": (Raw(code(("module", PACKAGE, "x.py", "")) + b"Q"), "refers to what is no storage"),
  "a tensor of no storage": (Call(Name("torch._utils", "_rebuild_tensor"), (1, 0, (1,), (1,))), "without storage"),
  "a list": ([ONES], "holds no state dict.*ask its authors"),
  "nothing": ({}, "no state dict: nothing"),
  "others than tensors": ({"a": ONES, "best\n": 1, 3: ONES}, r"no state dict: 'best\\n', a int"),
  "a whole module": (Instance(Name("models", "Net"), {}), "holds no state dict"),
  "itself": (Raw(b"}q\x01X\x0a\x00\x00\x00state_dicth\x01s"), "no state dict: 'state_dict'"),
}


@pytest.mark.parametrize("name", WRONG_PICKLES)
def test_a_wrong_pickle_is_refused(tmp_path, name):
  tree, message = WRONG_PICKLES[name]
  write(tmp_path / "x.pt", tree)
  refusal(tmp_path / "x.pt", message)


BEYOND, IMPOSSIBLE = "goes beyond its storage of 6 elements", "impossible offset, shape or strides"
OUTSIDE = {
  "offset": (1, (2, 3), (3, 1), BEYOND),
  "stride": (0, (2, 3), (4, 1), BEYOND),
  "size": (0, (3, 3), (3, 1), BEYOND),
  "one huge size": (0, (2**62, 1), (0, 0), BEYOND),
  "huge sizes": (0, (2**40, 2**40), (2**40, 1), BEYOND),
  "repeated": (0, (7,), (0,), rf"{BEYOND} \(it is expanded, which is not read\); save the checkpoint with contiguous"),
  "huge and empty": (0, (0, 2**62, 2**62), (1, 1, 1), "damaged"),
  "negative size": (0, (-1, 3), (3, 1), IMPOSSIBLE),
  "negative stride": (5, (6,), (-1,), IMPOSSIBLE),
  "negative offset": (-1, (2,), (1,), IMPOSSIBLE),
  "size beyond 64 bits": (0, (2**64,), (0,), IMPOSSIBLE),
  "other ranks": (0, (2, 3), (1,), IMPOSSIBLE),
  "many ranks": (0, (1,) * 65, (1,) * 65, IMPOSSIBLE),
  "no numbers": (0, (2.0, "3"), (3, 1), IMPOSSIBLE),
  "no tuples": (0, [2, 3], [3, 1], "without storage, shape and strides"),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_tensor_outside_of_its_storage_is_refused(tmp_path, name):
  *place, message = OUTSIDE[name]
  write(tmp_path / "x.pt", {"a": View(ONES, *place)})
  refusal(tmp_path / "x.pt", message)


@pytest.mark.parametrize(
  ("function", "message"),
  [
    ("_rebuild_tensor_v3", "fp8 and unsigned tensors"),
    ("_rebuild_qtensor", "quantised tensors"),
    ("_rebuild_sparse_tensor", "sparse tensors"),
    ("_rebuild_meta_tensor_no_storage", "meta tensors"),
  ],
)
def test_tensors_of_other_kinds_are_told_as_what_they_are(tmp_path, function, message):
  write(tmp_path / "x.pt", {"a": Call(Name("torch._utils", function), ()), "b": ONES})
  refusal(tmp_path / "x.pt", f"{message} are not read; save the checkpoint as float32")


def test_a_conjugate_view_is_refused(tmp_path):
  rebuilt = (Raw(code(("storage", FLOATS, "0", "cpu", 6)) + b"Q"), 0, (6,), (1,), False, None, {"conj": True})
  write(tmp_path / "x.pt", {"a": Call(Name("torch._utils", "_rebuild_tensor_v2"), rebuilt), "b": ONES})
  refusal(tmp_path / "x.pt", "conjugate")


STORAGES = {
  "more": (("storage", FLOATS, "0", "cpu", 7), "0' has 24 bytes"),
  "fewer": (("storage", FLOATS, "0", "cpu", 5), "0' has 24 bytes"),
  "negative": (("storage", FLOATS, "0", "cpu", -6), "0' has 24 bytes"),
  "of another width": (("storage", Name("torch", "DoubleStorage"), "0", "cpu", 6), "0' has 24 bytes|cut short"),
  "missing": (("storage", FLOATS, "7", "cpu", 6), "entry 'data/7' is missing|damaged"),
  "elsewhere": (("storage", FLOATS, "../../x", "cpu", 6), "missing|damaged"),
  "a view beyond": (("storage", FLOATS, "0", "cpu", 6, ("1", 4, 3)), "view goes beyond"),
  "a view before": (("storage", FLOATS, "0", "cpu", 6, ("1", -1, 6)), "view goes beyond"),
  "a view of nothing": (("storage", FLOATS, "0", "cpu", 6, "1"), "no storage"),
}


@pytest.mark.parametrize("name", STORAGES)
def test_a_storage_that_is_not_in_the_file_is_refused(tmp_path, name):
  storage, message = STORAGES[name]
  write(tmp_path / "x.pt", {"a": tensor(storage), "b": ONES})
  refusal(tmp_path / "x.pt", message)
  refusal(old(tmp_path / "old.pt", {"a": tensor(storage)}), message)


def test_a_storage_of_two_types_is_refused(tmp_path):
  tree = {name: tensor(("storage", Name("torch", name), "0", "cpu", 6)) for name in ("FloatStorage", "IntStorage")}
  refusal(old(tmp_path / "x.pt", tree), "two types")


def with_entry(name, data):
  return lambda parts: parts | {f"archive/{name}": data}


ARCHIVES = {
  "no data.pkl": (lambda parts: {"archive/data/0": b""}, "a zip file but not"),
  "two folders": (lambda parts: parts | {"other/data.pkl": b"N."}, "a zip file but not"),
  "no storage": (lambda parts: {"archive/data.pkl": parts["archive/data.pkl"]}, "entry 'data/0' is missing"),
  "a short storage": (with_entry("data/0", bytes(20)), "has 20 bytes"),
  "TorchScript": (with_entry("constants.pkl", b"N."), "a TorchScript program"),
  "big-endian": (with_entry("byteorder", b"big"), "big-endian"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_wrong_archive_is_refused(tmp_path, name):
  change, message = ARCHIVES[name]
  write(tmp_path / "x.pt", {"a": ONES})
  refusal(archive(tmp_path / "y.pt", change(entries(tmp_path / "x.pt"))), message)


def test_compressed_entries_are_refused(tmp_path):
  write(tmp_path / "x.pt", {"a": np.zeros(10**6, np.float32)})
  packed = archive(tmp_path / "y.pt", entries(tmp_path / "x.pt"), zipfile.ZIP_DEFLATED)
  assert packed.stat().st_size < 10**5
  refusal(packed, r"'data.pkl' is compressed")


def test_an_entry_that_claims_more_than_the_file_has_is_refused(tmp_path):
  path = tmp_path / "x.pt"
  write(path, {"a": ONES})
  data = bytearray(path.read_bytes())
  at = data.index(b"PK\1\2", data.index(b"PK\1\2") + 1)
  data[at + 20 : at + 28] = (2**31).to_bytes(4, "little") * 2
  path.write_bytes(data)
  refusal(path, "entry 'data/0' is damaged")


OLD = {
  "another magic": ((MAGIC + 1, PROTOCOL, FACTS, {}, []), "not a PyTorch checkpoint"),
  "another protocol": ((MAGIC, 1002, FACTS, {}, []), "not a PyTorch checkpoint"),
  "big-endian": ((MAGIC, PROTOCOL, {"little_endian": False}, {}, []), "big-endian"),
  "no facts": ((MAGIC, PROTOCOL, [], {}, []), "damaged"),
  "no keys": ((MAGIC, PROTOCOL, FACTS, {}), "damaged"),
  "keys of nothing": ((MAGIC, PROTOCOL, FACTS, {}, ["0"]), "damaged"),
  "keys without end": ((MAGIC, PROTOCOL, FACTS, {}, 7), "damaged"),
}


@pytest.mark.parametrize("name", OLD)
def test_a_wrong_old_file_is_refused(tmp_path, name):
  objects, message = OLD[name]
  refusal(stream(tmp_path / "x.pt", *objects), message)


def test_an_old_storage_that_claims_more_than_the_file_has_is_refused(tmp_path):
  path = old(tmp_path / "x.pt", {"a": tensor(("storage", FLOATS, "0", "cpu", 6))})
  path.write_bytes(path.read_bytes()[:-32] + (2**63).to_bytes(8, "little") + bytes(24))
  refusal(path, "cut short")


NO_CHECKPOINTS = {
  "empty": (b"", "an empty file"),
  "text": (b"epoch: 3\n", "damaged or not a PyTorch checkpoint"),
  "a zip file's end": (b"PK\5\6" + bytes(18), "damaged or not a PyTorch checkpoint"),
  "a zip file's beginning": (b"PK\3\4" + bytes(60), "damaged or not a PyTorch checkpoint"),
  "a pickle": (pickle.dumps({"a": 1}), "not a PyTorch checkpoint"),
  "a tar file": (bytes(257) + b"ustar" + bytes(250), "tar format"),
}


@pytest.mark.parametrize("name", NO_CHECKPOINTS)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, name):
  data, message = NO_CHECKPOINTS[name]
  (tmp_path / "x.pt").write_bytes(data)
  refusal(tmp_path / "x.pt", message)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
  os.mkfifo(tmp_path / "x.pt")
  refusal(tmp_path / "x.pt", "a pipe or a device; give the path")


def test_a_path_without_a_file_is_refused(tmp_path):
  refusal(tmp_path, "Is a directory; give the path")
  refusal(tmp_path / "x.pt", "No such file or directory; give the path")


@pytest.mark.parametrize("name", FIXTURES)
def test_a_file_cut_short_is_refused(tmp_path, name):
  data = (FILES / name).read_bytes()
  for part in range(20):
    (tmp_path / "x.pt").write_bytes(data[: len(data) * part // 20])
    refusal(tmp_path / "x.pt")


CHANGES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6)


def changed(data, changes):
  data = bytearray(data)
  for place, value in changes:
    data[int(place * len(data))] = value
  return bytes(data)


def read_or_refuse(path):
  """Touches every byte of what is read."""
  try:
    found = torch_file.state_dict(path)
  except InputError as error:
    assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
  else:
    assert all(len(x.tobytes()) == x.size * x.itemsize for x in found.values())


@pytest.mark.parametrize("name", FIXTURES)
@settings(max_examples=100, deadline=None)
@given(changes=CHANGES)
def test_changed_bytes_give_arrays_or_one_line(tmp_path_factory, name, changes):
  path = tmp_path_factory.getbasetemp() / "changed.pt"
  path.write_bytes(changed((FILES / name).read_bytes(), changes))
  read_or_refuse(path)


@pytest.mark.parametrize("name", ["plain.pt", "lightning.pt"])
@settings(max_examples=100, deadline=None)
@given(changes=CHANGES)
def test_changed_pickles_give_arrays_or_one_line(tmp_path_factory, name, changes):
  path, parts = tmp_path_factory.getbasetemp() / "changed.pt", entries(FILES / name)
  (key,) = [key for key in parts if key.endswith("data.pkl")]
  read_or_refuse(archive(path, parts | {key: changed(parts[key], changes)}))
