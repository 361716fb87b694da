"""The published evaluation on Greatest Hits (Du et al. 2023, section 4): which clips are dubbed by which examples.

194 target clips of 2 s from the 97 test videos, each with 3 condition clips from other test videos: 582 trials. In 197
of them, the matches, the same actions are labelled in both clips (hits, scratches or both); 385 are mismatches.
"""

import dataclasses
import itertools
import json
import math
import os
import pathlib
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from etils import epath

from data_pipelines import interrupt
from data_pipelines.builders.clips import Clip, format_second_clip, parse_second_clip
from data_pipelines.builders.events import ACTIONS, Event
from data_pipelines.builders.source import LISTS_URL, read_table
from data_pipelines.errors import InputError

CONDITIONS_FILE = "AMT_test_set.json"
MATCH_FILE = "AMT_test_set_match_dict.json"
TYPES_FILE = "AMT_test_set_type_dict.json"
FILES = (CONDITIONS_FILE, MATCH_FILE, TYPES_FILE)
TARGETS, CONDITIONS = 2, 3  # a video, a target
# Length and events by id; in which unit the length is, functions say.
Videos = Mapping[str, tuple[float, Sequence[Event]]]
_REMEDY = f"prepare the test split again, or fetch the file from the folder `data` of {LISTS_URL} if it is theirs"


@dataclasses.dataclass(frozen=True)
class Trial:
  """`target` is given the sound of `condition`.

  Attributes:
    target, condition: the clips.
    match: whether the same actions are labelled in both; None where in one of them none is.
  """

  target: Clip
  condition: Clip
  match: bool | None


def read_protocol(folder: str | os.PathLike) -> list[Trial]:
  """Trials in the order of the published files, those of a target one after the other.

  Args:
    folder: local or gs://, holds `AMT_test_set.json` and `AMT_test_set_match_dict.json`.

  Raises:
    InputError: a file is absent or damaged, or the two do not belong together.
  """
  folder = epath.Path(folder)
  conditions = read_table(folder / CONDITIONS_FILE, _REMEDY)
  matches = read_table(folder / MATCH_FILE, _REMEDY)
  where = f"{folder / CONDITIONS_FILE}"
  return [
    Trial(
      parse_second_clip(target, where),
      parse_second_clip(condition, where),
      _read_match(matches, target, condition, folder),
    )
    for target, listed in conditions.items()
    for condition in _listed(listed, target, where)
  ]


def draw_protocol(videos: Videos, seed: int, seconds: float) -> list[Trial]:
  """A set of trials like the published one: every clip begins at a labelled contact.

  Args:
    videos: length, s, and events of each, by id; one without a labelled contact to begin a clip with is left out.
    seed: of the draws.
    seconds: length of a clip, s.

  Returns:
    Two targets from each video, where it has two contacts, with three conditions each, from different other videos
    where there are as many. None from fewer than two videos.
  """
  rng = np.random.default_rng(seed)
  starts = {video: found for video, told in sorted(videos.items()) if (found := _starts(*told, seconds))}
  trials = []
  for video, times in starts.items():
    others = [other for other in starts if other != video]
    for target in _targets(video, times, seconds, rng):
      for other in rng.permutation(others)[:CONDITIONS].tolist():
        condition = Clip(other, rng.choice(starts[other]).item())
        trials.append(Trial(target, condition, _match(target, condition, videos, seconds)))
  return trials


def cover(videos: Videos, frames: int, fps: int) -> list[Trial]:
  """Trials of videos that no list is about: each is cut into clips, and each clip gets three from other videos.

  Args:
    videos: length, frames, and events of each, by id; shorter ones than a clip are left out.
    frames: of a clip.
    fps: frames per second.

  Returns:
    Trials of the clips in order. Their conditions go round the other videos and all clips of those in turn; of fewer
    clips than three each is taken once. None from fewer than two videos.
  """
  clips = {v: [Clip(v, n * frames / fps) for n in range(length // frames)] for v, (length, _) in sorted(videos.items())}
  trials = []
  for video, targets in clips.items():
    rounds = itertools.zip_longest(*(found for other, found in clips.items() if other != video))
    pool = [condition for turn in rounds for condition in turn if condition is not None]
    for number, target in enumerate(targets):
      chosen = [pool[(number * CONDITIONS + k) % len(pool)] for k in range(min(CONDITIONS, len(pool)))]
      trials += [Trial(target, c, _match(target, c, videos, frames / fps)) for c in chosen]
  return trials


def write_protocol(folder: pathlib.Path, trials: Sequence[Trial], videos: Videos, seconds: float) -> None:
  """Writes `trials`, and how often each action is labelled in each clip, as the three published files.

  Args:
    folder: that is there.
    trials, videos, seconds: as `draw_protocol` gives and takes them.
  """
  conditions, matches, types = {}, {}, {}
  for trial in trials:
    target, condition = format_second_clip(trial.target), format_second_clip(trial.condition)
    conditions.setdefault(target, []).append(condition)
    matches.setdefault(target, {})[condition] = trial.match
    types |= {n: _actions(c, videos, seconds) for n, c in ((target, trial.target), (condition, trial.condition))}
  tables = {CONDITIONS_FILE: conditions, MATCH_FILE: matches, TYPES_FILE: types}
  interrupt.write_together(folder, {name: json.dumps(content) for name, content in tables.items()})


def _starts(duration_s: float, events: Sequence[Event], seconds: float) -> list[float]:
  """Where clips may begin, in the decimals that the files have, not after their contacts."""
  last_s = duration_s - seconds
  return [math.floor(e.time_s * 1e4) / 1e4 for e in events if e.action in ACTIONS and e.time_s <= last_s]


def _targets(video: str, times: Sequence[float], seconds: float, rng: np.random.Generator) -> list[Clip]:
  """Clips of a video that do not overlap, where it has such."""
  first = rng.choice(times)
  apart = [t for t in times if abs(t - first) >= seconds] or [t for t in times if t != first]
  chosen = [first, *(rng.choice(apart, TARGETS - 1) if apart else ())]
  return [Clip(video, float(t)) for t in sorted(chosen)]


def _actions(where: Clip, videos: Videos, seconds: float) -> Counter[str]:
  """How often each action is labelled in a clip."""
  since_s = [e.time_s - where.start_s for e in videos[where.video][1]]
  actions = [e.action for e in videos[where.video][1]]
  return Counter(a for a, s in zip(actions, since_s, strict=True) if 0 <= s < seconds)


def _match(target: Clip, condition: Clip, videos: Videos, seconds: float) -> bool | None:
  """Whether the same actions are labelled in both; None where in one of them none is."""
  wanted, heard = (set(ACTIONS) & set(_actions(where, videos, seconds)) for where in (target, condition))
  return wanted == heard if wanted and heard else None


def _listed(conditions: object, target: str, where: str) -> list[str]:
  if not isinstance(conditions, list) or not all(isinstance(c, str) for c in conditions):
    raise InputError(f"{where}: `{target}` has no list of condition clips; {_REMEDY}")
  return conditions


def _read_match(matches: dict, target: str, condition: str, folder: epath.Path) -> bool | None:
  flags = matches.get(target)
  if not isinstance(flags, dict) or not isinstance(flags.get(condition, ""), bool | None):
    raise InputError(f"{folder / MATCH_FILE}: no true or false for {target} with {condition}; {_REMEDY}")
  return flags[condition]
