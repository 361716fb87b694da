"""Frozen dataclasses to plain dicts (JSON, ConfigDict) and back."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def to_dict(config: Any) -> dict[str, Any]:
  """Nested dict of a dataclass; tuples stay tuples."""
  return dataclasses.asdict(config)


def from_dict(cls: type[T], values: Mapping[str, Any]) -> T:
  """Dataclass `cls` from a (nested) mapping; lists become tuples.

  Raises:
    ValueError: names the keys that `cls` lacks or that are missing.
  """
  fields = {f.name: f for f in dataclasses.fields(cls)}
  required = {n for n, f in fields.items() if f.default is dataclasses.MISSING}
  if unknown := sorted(set(values) - set(fields)):
    raise ValueError(f"{cls.__name__} has no {', '.join(unknown)}")
  if missing := sorted(required - set(values)):
    raise ValueError(f"{cls.__name__} needs {', '.join(missing)}")
  types = typing.get_type_hints(cls)
  return cls(**{name: _value(types[name], value) for name, value in values.items()})


def _value(annotation: Any, value: Any) -> Any:
  if dataclasses.is_dataclass(annotation):
    return from_dict(annotation, value)
  return _tuples(value)


def _tuples(value: Any) -> Any:
  return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value
