"""The published evaluation on Greatest Hits (Du et al. 2023, section 4): which clips are dubbed by which examples.

194 target clips of 2 s from the 97 test videos, each with 3 condition clips from other test videos: 582 trials. In 197
of them, the matches, the same actions are labelled in both clips (hits, scratches or both); 385 are mismatches.
"""

import dataclasses
import os
import pathlib

from data_pipelines.builders.clips import Clip, parse_second_clip
from data_pipelines.builders.source import FETCH_LISTS, read_table, require_folder
from data_pipelines.errors import InputError

CONDITIONS_FILE = "AMT_test_set.json"
MATCH_FILE = "AMT_test_set_match_dict.json"


@dataclasses.dataclass(frozen=True)
class Trial:
  """`target` is given the sound of `condition`; `match` says whether the same actions are labelled in both."""

  target: Clip
  condition: Clip
  match: bool


def read_protocol(folder: str | os.PathLike) -> list[Trial]:
  """Trials in the order of the published files, those of a target one after the other.

  Args:
    folder: holds `AMT_test_set.json` and `AMT_test_set_match_dict.json`.

  Raises:
    InputError: a file is absent or damaged, or the two do not belong together.
  """
  folder = require_folder(folder, "the published annotations")
  conditions = read_table(folder / CONDITIONS_FILE, FETCH_LISTS)
  matches = read_table(folder / MATCH_FILE, FETCH_LISTS)
  where = f"{folder / CONDITIONS_FILE}"
  return [
    Trial(
      parse_second_clip(target, where), parse_second_clip(condition, where), _match(matches, target, condition, folder)
    )
    for target, listed in conditions.items()
    for condition in _listed(listed, target, where)
  ]


def _listed(conditions: object, target: str, where: str) -> list[str]:
  if not isinstance(conditions, list) or not all(isinstance(c, str) for c in conditions):
    raise InputError(f"{where}: `{target}` has no list of condition clips; {FETCH_LISTS}")
  return conditions


def _match(matches: dict, target: str, condition: str, folder: pathlib.Path) -> bool:
  flags = matches.get(target)
  flag = flags.get(condition) if isinstance(flags, dict) else None
  if not isinstance(flag, bool):
    raise InputError(f"{folder / MATCH_FILE}: no true or false for {target} with {condition}; {FETCH_LISTS}")
  return flag
