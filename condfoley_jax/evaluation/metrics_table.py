"""The chief numbers of an evaluation as a table in Markdown, a row for each system."""

import textwrap
from collections.abc import Mapping

from condfoley_jax.evaluation import paper_tables, substitutions

COLUMNS = (
  "material_accuracy",
  "action_accuracy",
  "onset_f1_100ms",
  "onset_ap",
  "onset_count_accuracy",
  "onset_skill",
  "sync_in_time",
  "reference_consistency",
  "centroid_similarity",
  "mcd_db",
  "frechet_distance",
  "legacy_ap",
)

# Of fewer videos a percentile bootstrap is much too narrow.
_ENOUGH = 10


def markdown(found: Mapping) -> str:
  """Values of "systems" and "ceilings" of metrics.json with their intervals, what they are to be read by, which part
  loses what, and the paper's tables."""
  told = {**found["systems"], **found["ceilings"]}
  lines = ["| | " + " | ".join(f"`{name}`" for name in COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
  lines += [
    f"| {system} | " + " | ".join(_cell(row.get(name)) for name in COLUMNS) + " |" for system, row in told.items()
  ]
  judges = "; ".join(f"`{name}` {_cell(row)} of {row['n']}" for name, row in found["classifier"].items())
  lines += ["", f"- In parentheses: 95 % intervals, where they have a width. {of_few(found)}".rstrip()]
  lines += textwrap.wrap(f"- Judges on true sound: {judges}.", 120, subsequent_indent="  ", break_on_hyphens=False)
  lines += [f"- `onset_skill` is over {baseline}, the best of the baselines." for baseline in _baselines(told)]
  parts = ("\n".join(lines), substitutions.markdown(found), paper_tables.markdown(found))
  return "\n\n".join(part for part in parts if part)


def of_few(found: Mapping) -> str:
  """What is to be said of the intervals where they are of few videos; "" of enough."""
  videos = found["data"]["videos"]
  return f"They are of {videos} videos alone, too few to say how sure a value is." if videos < _ENOUGH else ""


def _baselines(told: Mapping[str, Mapping]) -> list[str]:
  """What skill is over: one, the same for all systems, or none where there is no skill."""
  return sorted({row["onset_skill"]["over"] for row in told.values() if "onset_skill" in row})


def _cell(told: Mapping | None) -> str:
  """Value and interval; without it where no digit that is shown differs, `-` where there is no value."""
  if told is None:
    return "-"
  value, low, high = (_number(x) for x in (told["value"], *told["ci95"]))
  return value if low == high == value else f"{value} ({low}, {high})"


def _number(x: float) -> str:
  return f"{x:.2f}" if abs(x) < 100 else f"{x:.0f}"
