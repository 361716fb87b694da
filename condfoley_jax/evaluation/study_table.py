"""The result of a study as the paper's table and as JSON."""

import dataclasses

from condfoley_jax.evaluation.study_analysis import Agreement, Analysis, Share
from data_pipelines.errors import printable

METHOD = (
  "share of answers that prefer the system; 95 % Wilson interval on the effective number of answers, which is their "
  "number over the design effect of participants"
)


def as_json(analysis: Analysis) -> dict:
  """The content of results.json; shares in [0, 1]."""
  return {
    "study": analysis.study,
    "seed": analysis.seed,
    "reference": analysis.reference,
    "method": METHOD,
    "participants": {"included": list(analysis.included), "excluded": list(analysis.excluded)},
    "pairs": [
      {"system": system, "against": against}
      | {
        question: {"share": s.chosen, "ci95": [s.low, s.high], "n": s.answers, "participants": s.participants}
        for question, s in shares.items()
      }
      for (against, system), shares in analysis.shares.items()
    ],
    "agreement": {question: dataclasses.asdict(a) for question, a in analysis.agreement.items()},
  }


def as_table(analysis: Analysis) -> str:
  """The paper's table as Markdown: per cent of answers that prefer a system over what it is against."""
  rows = ["| System | Over | Material chosen (%) | Sync. chosen (%) | Answers |", "|---|---|---|---|---|"]
  for (against, system), shares in analysis.shares.items():
    cells = (_cell(system), _cell(against), _percent(shares["material"]), _percent(shares["sync"]))
    rows.append(f"| {' | '.join(cells)} | {shares['sync'].answers} |")
  kept, out = len(analysis.included), len(analysis.excluded)
  alphas = ", ".join(f"{question} {_alpha(a)}" for question, a in analysis.agreement.items())
  notes = [
    f"In brackets: {METHOD.partition('; ')[2]}.",
    f"{kept} participant{'s' * (kept != 1)} counted; {out} left out, having missed an attention check.",
    f"Krippendorff's alpha (nominal; a unit is a pair of systems on a clip): {alphas}.",
  ]
  return "\n".join([*rows, "", *notes]) + "\n"


def _percent(share: Share) -> str:
  return f"{100 * share.chosen:.1f} [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def _alpha(agreement: Agreement) -> str:
  if agreement.alpha is None:
    return f"undefined ({agreement.units} units of several participants)"
  return f"{agreement.alpha:.2f} ({agreement.units} units)"


def _cell(name: str) -> str:
  return printable(name).replace("|", "\\|")
