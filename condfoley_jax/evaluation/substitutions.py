"""Which part of the line loses what: systems in which the truth stands in for parts of it, the most truth first."""

from collections.abc import Mapping

# What is made, and from what.
ROWS = {
  "vocoder": "the vocoder, from the true mel",
  "codes_vocoder": "VQGAN and vocoder, from the true sound",
  "true_onsets": "snippets of the example, at the true onsets",
  "onset_transfer": "snippets of the example, at onsets that the encoder sees",
  "without_detail": "the first take, without the example's detail",
  "base": "all, the first take",
  "rerank": "all, the best take",
}
# Systems that are made from the query's own sound, and are to keep its material rather than take on the example's.
_OF_TARGET = ("vocoder", "codes_vocoder")
_CEILING = "codes_vocoder"
_HEAD = """\
The truth in place of parts: per cent. `material` is as the judge hears it in what the sound was made from: the query's
own for the first two, else the example's."""
_COLUMNS = ("material", "action", "onset F1, 100 ms", "50 ms", "number of onsets", "as a share of the true codes'")


def markdown(found: Mapping) -> str:
  """What the table says, and the table, of the content of metrics.json, per cent; rows of systems that are there.

  Empty where none is.
  """
  told = {**found["systems"], **found["ceilings"]}
  if not told.keys() & ROWS.keys():
    return ""
  ceiling = told.get(_CEILING, {}).get("onset_count_accuracy")
  lines = ["| | what is made | " + " | ".join(_COLUMNS) + " |", "|---" * (len(_COLUMNS) + 2) + "|"]
  for name, what in ROWS.items():
    if name in told:
      cells = _cells(name, {metric: row["value"] for metric, row in told[name].items()}, ceiling and ceiling["value"])
      lines.append(f"| {name} | {what} | " + " | ".join(cells) + " |")
  return f"{_HEAD}\n\n" + "\n".join(lines) + "\n"


def _cells(name: str, values: Mapping[str, float], ceiling: float | None) -> list[str]:
  material = "material_retained" if name in _OF_TARGET else "material_accuracy"
  metrics = (material, "action_accuracy", "onset_f1_100ms", "onset_f1_50ms", "onset_count_accuracy")
  shown = [values.get(metric) for metric in metrics]
  shown.append(shown[-1] / ceiling if ceiling and shown[-1] is not None else None)
  return ["-" if value is None else f"{100 * value:.0f}" for value in shown]
