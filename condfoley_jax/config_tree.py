"""Frozen dataclasses to plain dicts (JSON, ConfigDict) and back."""

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
_PLAIN = {int: (int,), float: (int, float), str: (str,), bool: (bool,)}


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
  annotations = typing.get_type_hints(cls)
  for name, value in values.items():
    if not _fits(value, annotations[name]):
      raise ValueError(f"{cls.__name__}.{name} is {value!r}, not of type {_named(annotations[name])}")
  return cls(**{name: _value(annotations[name], value) for name, value in values.items()})


def _named(annotation: Any) -> str:
  return annotation.__name__ if annotation in _PLAIN else str(annotation)


def _fits(value: Any, annotation: Any) -> bool:
  """Whether a value is of a plain type, of one of several, or a tuple of such; other classes check their own."""
  if isinstance(annotation, types.UnionType):
    return any(_fits(value, option) for option in typing.get_args(annotation))
  if typing.get_origin(annotation) is tuple:
    return isinstance(value, list | tuple) and _each_fits(value, typing.get_args(annotation))
  if annotation is types.NoneType:
    return value is None
  if annotation not in _PLAIN:
    return True
  return isinstance(value, _PLAIN[annotation]) and isinstance(value, bool) == (annotation is bool)


def _each_fits(values: Sequence[Any], annotations: tuple[Any, ...]) -> bool:
  if annotations[-1] is Ellipsis:
    annotations = annotations[:1] * len(values)
  return len(values) == len(annotations) and all(map(_fits, values, annotations))


def _value(annotation: Any, value: Any) -> Any:
  if dataclasses.is_dataclass(annotation):
    return from_dict(annotation, value)
  return _tuples(value)


def _tuples(value: Any) -> Any:
  return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value
