"""Onsets for other programs."""

import json

import hypothesis
import mido
import numpy as np
import pytest
from hypothesis import strategies as st

from condfoley_jax.commands import markers
from condfoley_jax.commands.generation import Take

RATE = 22050


def _take(onsets_s, peaks):
  audio = np.zeros(11 * RATE, np.float32)
  for time_s, peak in zip(onsets_s, peaks, strict=True):
    audio[round(time_s * RATE) + 100] = peak
  return Take(audio, 0, np.array(onsets_s), [], 1.0, None, 0.5)


def _notes(path):
  """(time, s, velocity) of each note that begins."""
  now, found = 0.0, []
  for message in mido.MidiFile(path):
    now += message.time
    if message.type == "note_on":
      found.append((now, message.velocity))
  return found


def test_levels_and_velocities(tmp_path):
  markers.write(tmp_path / "01", _take([0.5, 1.25, 3.0], [0.5, 0.25, 0.001]), RATE)
  told = json.loads((tmp_path / "01.json").read_text())["onsets"]
  assert [onset["time_s"] for onset in told] == [0.5, 1.25, 3.0]
  assert [onset["level_db"] for onset in told] == pytest.approx([-6.0, -12.0, -60.0], abs=0.1)
  notes = _notes(tmp_path / "01.mid")
  assert [velocity for _, velocity in notes] == [127, round(127 * (1 - 6.02 / 48)), 1]


def test_without_onsets_both_files_are_there_and_empty(tmp_path):
  markers.write(tmp_path / "01", _take([], []), RATE)
  assert json.loads((tmp_path / "01.json").read_text()) == {"onsets": []}
  assert _notes(tmp_path / "01.mid") == []


@hypothesis.settings(deadline=None)
@hypothesis.given(st.lists(st.integers(0, 300), max_size=20))
def test_notes_are_50_ms_long_or_to_the_next(tmp_path_factory, milliseconds):
  times_s = [ms / 1000 for ms in sorted(milliseconds)]
  stem = tmp_path_factory.mktemp("markers") / "01"
  markers.write(stem, _take(times_s, [0.5] * len(times_s)), RATE)
  now, begins, ends = 0, [], []
  for message in mido.MidiFile(stem.with_suffix(".mid")).tracks[0]:
    now += message.time
    if not message.is_meta:
      assert message.type == ("note_on" if len(begins) == len(ends) else "note_off")
      (begins if message.type == "note_on" else ends).append(now)
  assert begins == sorted(milliseconds)
  assert ends == [min(at + 50, after) for at, after in zip(begins, [*begins[1:], 10_000], strict=False)]


@hypothesis.given(st.lists(st.integers(0, 10_000), max_size=20, unique=True))
def test_every_note_is_at_its_millisecond(tmp_path_factory, milliseconds):
  times_s = [ms / 1000 for ms in sorted(milliseconds)]
  stem = tmp_path_factory.mktemp("markers") / "01"
  markers.write(stem, _take(times_s, [0.5] * len(times_s)), RATE)
  notes = _notes(stem.with_suffix(".mid"))
  assert [time for time, _ in notes] == pytest.approx(times_s, abs=1e-6)
