"""Intervals and labels of the procedural world beside those of real annotations: shares only, nothing is copied."""

import collections
import itertools
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np

from data_pipelines.builders.drumstick.scene import draw_scene
from data_pipelines.builders.events import ACTIONS, MATERIALS, Event
from data_pipelines.builders.hit_records import read_hit_records

# Real times are multiples of 1/15 s; ours are rounded to it here, and edges lie between its points.
_GRID = 15
_EDGES = (0, 3, 5, 7, 9, 11, 14, 18, 25, 37)
_VIDEOS = 977  # as many as are annotated

Rows = dict[str, dict[str, list[float]]]


def compared(annotations: pathlib.Path) -> Rows:
  """{heading: {row: [world, real]}}, shares of events.

  Args:
    annotations: the archive of hit records, or a folder of them.

  Raises:
    InputError: they cannot be read.
  """
  ours = [draw_scene("train", 0, index).events() for index in range(_VIDEOS)]
  theirs = [sorted(events, key=lambda e: e.time_s) for events in read_hit_records(annotations).values()]
  found = [_shares(videos) for videos in (ours, theirs)]
  return {heading: {row: [f[heading][row] for f in found] for row in found[0][heading]} for heading in found[0]}


def _shares(videos: Sequence[Sequence[Event]]) -> dict[str, dict[str, float]]:
  steps = np.concatenate([np.diff(np.round([e.time_s * _GRID for e in video])) for video in videos if len(video) > 1])
  labelled = [[e.action for e in video if e.action in ACTIONS] for video in videos]
  pairs = collections.Counter(itertools.chain(*(itertools.pairwise(actions) for actions in labelled)))
  again = {f"{a} after {a}": pairs[a, a] / max(1, sum(pairs[a, b] for b in ACTIONS)) for a in ACTIONS}
  return {
    "interval": _histogram(steps),
    "action": _counted(itertools.chain(*labelled), ACTIONS),
    "next action": {row: round(share, 3) for row, share in again.items()},
    "material": _counted((e.material for video in videos for e in video), MATERIALS),
  }


def _histogram(steps: np.ndarray) -> dict[str, float]:
  edges = [e + 0.5 for e in _EDGES]
  shares = np.histogram(steps, [*edges, np.inf])[0] / max(1, np.sum(steps > edges[0]))
  names = [f"{a / _GRID:.2f} to {b / _GRID:.2f} s" for a, b in itertools.pairwise(edges)]
  return dict(zip([*names, f"over {edges[-1] / _GRID:.2f} s"], shares.round(3).tolist(), strict=True))


def _counted(labels: Iterable[str], classes: Sequence[str]) -> dict[str, float]:
  counts = collections.Counter(label for label in labels if label in classes)
  return {name: round(counts[name] / max(1, counts.total()), 3) for name in classes}


def as_html(rows: Rows) -> str:
  """Tables with a bar for each share."""
  tables = (
    f"<table><tr><th>{heading}<th>world<th>real</tr>{''.join(itertools.starmap(_row, part.items()))}</table>"
    for heading, part in rows.items()
  )
  caption = "<p>Shares of intervals and labels beside those of the real annotations.</p>" if rows else ""
  return f'{caption}<div class="tables">{"".join(tables)}</div>'


def _row(name: str, shares: Sequence[float]) -> str:
  bars = (f'<td><i style="width:{120 * share:.0f}px"></i>{100 * share:.1f} %' for share in shares)
  return f"<tr><td>{name}{''.join(bars)}</tr>"
