"""Tables 1 and 2 of the paper, with our numbers beside its own (Du et al. 2023).

Its numbers are of real videos (Greatest Hits) and, in table 2, of people; ours of the procedural world, and of judges:
their orders can be compared, not the numbers.
"""

from collections.abc import Mapping

from condfoley_jax.evaluation.systems import VARIANTS

# Material and action, each where actions and materials of example and query match, where not, and overall; number of
# onsets; average precision by the published script, which gives silence 1. Per cent.
TABLE_1 = {
  "style_transfer": (30.0, 33.5, 32.3, 20.8, 36.6, 31.3, 19.1, 46.9),
  "onset_transfer": (54.8, 51.4, 52.6, 69.0, 44.7, 52.9, 24.8, 71.9),
  "chance": (5.9, 5.9, 5.9, 50.0, 50.0, 50.0, None, None),
  "specvqgan": (25.4, 26.8, 26.1, 52.3, 43.1, 46.2, 11.3, 51.0),
  "specvqgan_finetuned": (29.9, 25.7, 27.2, 70.6, 58.4, 62.5, 25.8, 59.3),
  "base_half": (None,) * 8,
  "no_condition": (21.3, 24.9, 23.7, 61.4, 55.1, 57.2, 24.6, 59.3),
  "base": (41.1, 41.6, 41.4, 67.5, 59.2, 62.0, 26.5, 60.0),
  "rerank": (43.4, 45.2, 44.0, 78.2, 61.3, 66.7, 25.3, 54.3),
}
_COLUMNS_1 = {
  "material_accuracy_match": "material, match",
  "material_accuracy_mismatch": "mismatch",
  "material_accuracy": "overall",
  "action_accuracy_match": "action, match",
  "action_accuracy_mismatch": "mismatch",
  "action_accuracy": "overall",
  "onset_count_accuracy": "number of onsets",
  "legacy_ap": "onset AP, the published script's",
}
# How often people chose a system over `base`, by material and by synchronisation, with half of a 95 % interval.
TABLE_2 = {
  "style_transfer": ((9.9, 2.3), (10.6, 2.4)),
  "onset_transfer": ((64.7, 3.8), (57.3, 3.9)),
  "specvqgan": ((16.3, 2.9), (18.0, 3.0)),
  "base_half": (None, None),
  "no_condition": ((35.3, 3.8), (40.1, 4.0)),
  "no_condition_video": ((46.1, 4.0), (45.0, 4.0)),
  "no_augmentation": ((51.3, 3.9), (49.7, 4.0)),
  "random_condition": ((45.5, 4.0), (47.5, 4.0)),
  "rerank": ((54.3, 3.4), (53.8, 3.4)),
}
_COLUMNS_2 = {"material_chosen": "material chosen", "sync_chosen": "sync chosen"}


def markdown(found: Mapping) -> str:
  """Both tables of metrics.json, in per cent, the paper's numbers in brackets; rows of systems that are there."""
  first = {name: _with(found["systems"].get(name), _COLUMNS_1, _told_1(told)) for name, told in TABLE_1.items()}
  second = {name: _with(found["preferences"].get(name), _COLUMNS_2, _told_2(told)) for name, told in TABLE_2.items()}
  heads = (
    "The paper's table 1: per cent, in brackets the paper's, on real videos.",
    "Its table 2: how often judges, in brackets people, choose a system over `base`, per cent." + _half(second),
  )
  return "\n\n".join([heads[0], _table(first, _COLUMNS_1), heads[1], _table(second, _COLUMNS_2)]) + "\n"


def _half(rows: Mapping[str, list[str]]) -> str:
  """What is to be said where systems are there that are trained for fewer steps than base."""
  there = any(rows[name] for name in VARIANTS if name in rows)
  return " Systems that are\ntrained for fewer steps are compared with `base_half`, which is too." if there else ""


def _told_1(told: tuple) -> list[str]:
  return ["-" if x is None else f"{x:.1f}" for x in told]


def _told_2(told: tuple) -> list[str]:
  return ["-" if x is None else f"{x[0]:.1f} ± {x[1]:.1f}" for x in told]


def _with(row: Mapping | None, columns: Mapping[str, str], paper: list[str]) -> list[str]:
  """Cells of a system; none where it is not there."""
  if row is None:
    return []
  return [f"{_cell(row.get(name))} [{other}]" for name, other in zip(columns, paper, strict=True)]


def _table(rows: Mapping[str, list[str]], columns: Mapping[str, str]) -> str:
  lines = ["| | " + " | ".join(columns.values()) + " |", "|---" * (len(columns) + 1) + "|"]
  lines += [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows.items() if cells]
  return "\n".join(lines)


def _cell(told: Mapping | None) -> str:
  """Value and half of its interval, per cent."""
  if told is None:
    return "-"
  low, high = told["ci95"]
  return f"{100 * told['value']:.1f} ± {50 * (high - low):.1f}"
