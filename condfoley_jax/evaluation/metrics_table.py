"""The chief numbers of an evaluation as a table in Markdown, a row for each system."""

from collections.abc import Mapping

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


def markdown(found: Mapping) -> str:
  """Values of "systems" and "ceilings" of metrics.json; `-` where there is none."""
  told = {**found["systems"], **found["ceilings"]}
  lines = ["| | " + " | ".join(f"`{name}`" for name in COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
  lines += [
    f"| {system} | " + " | ".join(_cell(row.get(name)) for name in COLUMNS) + " |" for system, row in told.items()
  ]
  return "\n".join(lines) + "\n"


def _cell(told: Mapping | None) -> str:
  return "-" if told is None else f"{told['value']:.2f}"
