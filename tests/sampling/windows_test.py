"""Windows that cover a query: ours, and the published code's."""

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from condfoley_jax.clip import MINI, PAPER
from condfoley_jax.conventions import PUBLISHED, Conventions
from condfoley_jax.sampling.windows import columns_of, delay, needed, plan, published, sliding, steps
from tests import golden

CLIPS = {"mini": MINI, "paper": PAPER}
KINDS = [Conventions(), Conventions(crop="first"), PUBLISHED, dataclasses.replace(PUBLISHED, windows="last")]


@given(st.integers(1, 900), st.sampled_from(list(CLIPS)), st.sampled_from(KINDS))
def test_every_column_is_sampled_once_after_those_it_continues_from(frames, name, conventions):
  spec = CLIPS[name]
  windows = plan(frames, spec, conventions)
  made = 0
  for window in windows:
    assert window.start + window.known == made and window.new > 0
    assert window.known + window.new <= spec.code_columns
    made += window.new
  heard_s = made * spec.column_seconds + delay(spec, conventions) / spec.sample_rate
  if conventions.windows == "sliding":
    assert heard_s >= frames / spec.fps - 1e-9
  else:
    assert made == max(1, frames // spec.frames) * spec.code_columns


@given(st.integers(1, 30), st.sampled_from(list(CLIPS)), st.sampled_from(KINDS))
def test_windows_needed_of_a_longer_plan_make_every_column_and_none_is_needed_for_nothing(clips, name, conventions):
  spec = CLIPS[name]
  windows, counts = plan(clips * spec.frames, spec, conventions), needed(clips * spec.frames, spec, conventions)
  for frames, count in enumerate(counts):
    made = [sum(window.new for window in windows[:number]) for number in (count - 1, count)]
    assert made[0] < columns_of(frames, spec, conventions) <= made[1]


@given(st.integers(1, 2000), st.sampled_from(list(CLIPS)))
def test_sliding_windows_overlap_by_half_and_none_is_there_for_nothing(columns, name):
  spec = CLIPS[name]
  starts = [window.start for window in sliding(columns, spec)]
  assert starts[0] == 0 and all(b - a == spec.code_columns // 2 for a, b in itertools.pairwise(starts))
  assert len(starts) == 1 or starts[-2] + steps(spec).first < columns


@given(st.integers(1, 2000), st.sampled_from(list(CLIPS)))
def test_a_column_is_made_by_a_window_that_sees_what_follows_it(columns, name):
  """Nearly a fifth of a second of it or more, but where there is one window only."""
  spec = CLIPS[name]
  several = sliding(columns, spec)
  followed_s = [(spec.code_columns - window.known - window.new) * spec.column_seconds for window in several]
  assert len(several) == 1 or min(followed_s) > 0.18


@given(st.integers(1, 900))
def test_frames_of_sliding_windows_go_with_their_codes(frames):
  for spec in CLIPS.values():
    for window in plan(frames, spec, Conventions()):
      assert abs(window.frame / spec.fps - window.start * spec.column_seconds) <= 0.5 / spec.fps + 1e-9


def test_one_clip_is_one_window():
  assert plan(30, MINI, Conventions()) == [(0, 0, 30, 0, 0, 0)]
  assert plan(30, PAPER, PUBLISHED) == [(0, 0, 10, 0, 0, 0)]


def test_sound_starts_with_the_first_code_that_the_models_are_trained_on():
  assert delay(PAPER, Conventions()) == 6 * 256 and delay(PAPER, PUBLISHED) == 0 and delay(MINI, Conventions()) == 0


@pytest.mark.golden
def test_windows_equal_the_published_ones():
  for name, rows in golden.load("sampler_windows.json").items():
    clips, mode, fixed = name.split("_")
    conventions = dataclasses.replace(PUBLISHED, windows=mode, moving_condition=fixed == "fixcond0")
    count = int(clips.removeprefix("W"))
    assert list(_rows(count, published(count, PAPER, conventions))) == rows


def _rows(clips, windows):
  """The windows as the vectors tell them, a row for each column."""
  columns, frames = clips * PAPER.code_columns, clips * PAPER.frames
  for window in windows:
    for column in range(window.start + window.known, window.start + window.known + window.new):
      yield {
        "step": PAPER.code_rows * (columns + column),
        "cond_cols": [window.condition, window.condition + PAPER.code_columns],
        "tar_cols": [columns + window.start, columns + window.start + PAPER.code_columns],
        "local_pos": PAPER.codes + PAPER.code_rows * (column - window.start),
        "cond_frames": [window.condition_frame, window.condition_frame + PAPER.frames],
        "tar_frames_in_concat": [frames + window.frame, frames + window.frame + PAPER.frames],
      }
