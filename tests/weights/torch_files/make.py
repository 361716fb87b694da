"""Made the files beside it, with PyTorch 2.13: `python make.py` in this folder. `expected.npz` is what is in them."""

import argparse
import collections
import datetime
import pathlib
import sys
import types
import typing

import numpy as np
import torch


def fake_class(module: str, name: str, *bases: type) -> type:
  """A class that pickles as one of a package that is not here."""
  made = type(name, bases, {"__module__": module})
  parts = module.split(".")
  for end in range(1, len(parts) + 1):
    sys.modules.setdefault(whole := ".".join(parts[:end]), types.ModuleType(whole))
  setattr(sys.modules[module], name, made)
  return made


def tensors() -> dict[str, torch.Tensor]:
  x = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4) / 7
  tied = torch.linspace(-1, 1, 5)
  return {
    "parameter": torch.nn.Parameter(x + 1),
    "float32": x,
    "float16": (x + 2).half(),
    "bfloat16": (x + 3).bfloat16(),
    "float64": x.double() / 3,
    "int64": torch.arange(5) * 10**12,
    "uint8": torch.arange(6, dtype=torch.uint8),
    "bool": torch.tensor([True, False, True]),
    "scalar": torch.tensor(41),
    "empty": torch.zeros(0, 3),
    "transposed": x.transpose(0, 2),
    "sliced": x[1:, ::2, 1:],
    "tied.a": tied,
    "tied.b": tied,
    "gewöhnlich.größe": torch.ones(2),
  }


def state_dict() -> collections.OrderedDict:
  ordered = collections.OrderedDict(tensors())
  ordered._metadata = collections.OrderedDict({"": {"version": 1}})
  return ordered


def lightning() -> dict[str, typing.Any]:
  callback = fake_class("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
  attributes = fake_class("pytorch_lightning.utilities.parsing", "AttributeDict", dict)
  items = fake_class("omegaconf.listconfig", "ListConfig", list)
  config = fake_class("omegaconf.dictconfig", "DictConfig")()
  config.__dict__ |= {
    "_content": {"lr": 1e-4},
    "_parent": config,
    "ref": typing.Any,
    "seen": collections.defaultdict(int),
  }
  return {
    "epoch": 3,
    "pytorch-lightning_version": "1.2.10",
    "callbacks": {callback: {"best_model_score": torch.tensor(0.5), "dirpath": pathlib.PurePosixPath("logs")}},
    "optimizer_states": [{"state": {0: {"exp_avg": torch.full((3,), 2.0)}}, "param_groups": [{"betas": (0.5, 0.9)}]}],
    "hyper_parameters": attributes(model=config, layers=items([1, 2]), args=argparse.Namespace(gpus="0,")),
    "extras": [
      np.float64(1),
      np.arange(3),
      {1, 2},
      b"bytes",
      1j,
      datetime.date(2022, 1, 1),
      torch.float32,
      torch.Size([2, 3]),
    ],
    "state_dict": collections.OrderedDict({f"module.{name}": x for name, x in tensors().items()}),
  }


def main() -> None:
  for name, tree in {"plain": state_dict(), "lightning": lightning()}.items():
    torch.save(tree, f"{name}.pt")
    torch.save(tree, f"{name}_old.pt", _use_new_zipfile_serialization=False)
  np.savez_compressed(
    "expected.npz",
    **{name: (x.float() if x.dtype == torch.bfloat16 else x).detach().numpy() for name, x in tensors().items()},
  )


main()
