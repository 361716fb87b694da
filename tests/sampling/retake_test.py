"""A stretch made anew: what it goes on from, and how its parts meet. What is sampled is told instead."""

import numpy as np
import pytest
from flax import nnx

from condfoley_jax.clip import MINI, PAPER
from condfoley_jax.conventions import OURS, REPAIRED
from condfoley_jax.sampling import long_video, retake, windows
from condfoley_jax.sampling.generate import Example
from condfoley_jax.sampling.logits import Sampling


class Loud(nnx.Module):
  """In place of a codec: the code of a column is how loud it is, in steps of a tenth."""

  def __init__(self, spec):
    self._spec = spec

  def encode(self, mel):
    loud = mel.reshape(len(mel), self._spec.n_mels, -1, self._spec.mel_per_column).mean((1, 3))
    return (10 * (loud + 1)).round().astype(int)[:, None]


class Teller:
  """In place of a generator: the sound of a column is its number, and the half of one more after the last code made."""

  def __init__(self, spec=MINI, conventions=OURS):
    self.spec, self.conventions, self.parts, self.stretches = spec, conventions, {"vqgan": Loud(spec)}, []

  def make_stretch(self, example, seeds, stretch, sampling):
    self.stretches.append(stretch)
    held, table = stretch.before.shape[3], stretch.table
    first = 0 if held else windows.steps(self.spec).first - windows.steps(self.spec).hop
    columns = held + first + len(table.start) * windows.steps(self.spec).hop
    told = np.arange(columns) + float(stretch.column)
    audio = np.where(told < stretch.columns, told, stretch.columns - 0.5).repeat(self.spec.samples_per_column)
    return long_video.Made(audio[None].astype(np.float32), np.zeros((1, self.spec.code_rows, columns)), None)


def _remade(teller, sound, span, frames):
  spec = teller.spec
  example = Example(None, np.random.default_rng(0).uniform(-0.5, 0.5, spec.example_samples).astype(np.float32))
  frames = long_video.Held(np.zeros((frames, 1, 1, 3), np.uint8))
  return retake.remake(teller, frames, example, Sampling(), 0, sound, span)


@pytest.mark.parametrize(("spec", "conventions"), [(MINI, OURS), (PAPER, REPAIRED)])
@pytest.mark.parametrize("at", [17, 40])
def test_the_columns_before_are_those_of_the_sound_there(spec, conventions, at):
  """A burst in one column of the take is in that column of what the stretch goes on from, and in no other."""
  per_column, delay = spec.samples_per_column, windows.delay(spec, conventions)
  for column in (at - 1, at - 2, at - 8):
    sound = np.zeros(60 * per_column, np.float32)
    middle = delay + column * per_column + per_column // 2
    sound[middle - 200 : middle + 200] = np.random.default_rng(1).uniform(-0.5, 0.5, 400)
    teller = Teller(spec, conventions)
    first = delay + at * per_column
    _remade(teller, sound, (first, first + spec.sample_rate), 60 * per_column // spec.samples_per_frame)
    (stretch,) = teller.stretches
    assert stretch.column == at - 2 * spec.code_columns
    loud = stretch.before[0, 0, 0]
    assert [int(stretch.column) + place for place in np.flatnonzero(loud)] == [column]


@pytest.mark.parametrize("columns", [15, 31, 60, 500])
def test_after_the_last_code_made_it_goes_on(columns):
  """There is room for more windows than are made: of their columns nothing is heard, not even nearby."""
  teller = Teller()
  _remade(teller, np.zeros(900 * MINI.samples_per_column, np.float32), _span(30, 30 + columns), 900)
  at = 30
  for stretch in teller.stretches:
    at += int(stretch.needed - stretch.first) * windows.steps(MINI).hop
    assert stretch.columns == at
  assert at >= 30 + columns


def test_at_the_end_of_a_query_its_own_columns_end():
  teller = Teller()
  _remade(teller, np.zeros(70 * MINI.samples_per_column, np.float32), _span(40, 70), 70)
  assert teller.stretches[-1].columns == 70


@pytest.mark.parametrize("first", [0, 30])
def test_every_sample_is_of_its_own_column(first):
  teller, last = Teller(), 1200
  made = _remade(teller, np.zeros(last * MINI.samples_per_column, np.float32), _span(first, last), last)
  # Each sample is of its own column: none of what is after the last code of a part.
  told = made.reshape(-1, MINI.samples_per_column)
  np.testing.assert_allclose(told, np.arange(first, last, dtype=np.float32)[:, None] + np.zeros_like(told), rtol=1e-6)
  assert len(teller.stretches) == 3


def test_parts_fade_into_one_another_where_both_hear_what_is_around(monkeypatch):
  teller, make = Teller(), Teller.make_stretch

  def numbered(self, *given):
    made = make(self, *given)
    return made._replace(audio=np.full_like(made.audio, len(self.stretches)))

  monkeypatch.setattr(Teller, "make_stretch", numbered)
  made = _remade(teller, np.zeros(900 * MINI.samples_per_column, np.float32), _span(30, 900), 900)
  seam = (480 - MINI.code_columns) * MINI.samples_per_column
  fade = long_video.fade_samples(MINI)
  assert (made[:seam] == 1).all() and (made[seam + fade : 2 * seam] == 2).all()
  assert (np.diff(made[seam - 1 : seam + fade + 1]) > 0).all()


def test_frames_are_let_go_as_they_are_passed():
  """Of a long query no more than what is looked at, and a clip, is ever held."""

  class Reader(long_video.Held):
    oldest, most = 0, 0

    def read(self, first, count):
      assert first >= self.oldest
      self.most = max(self.most, min(first + count, len(self)) - self.oldest)
      return super().read(first, count)

    def forget(self, first):
      self.oldest = max(self.oldest, first)

  reader = Reader(np.arange(9000, dtype=np.uint16).reshape(-1, 1, 1, 1))
  passing = long_video.Passing(reader, MINI)
  for first in (5000, 5040, 8000):
    np.testing.assert_array_equal(passing.read(first, 100).ravel(), np.arange(first, first + 100))
  assert len(passing) == 9000 and reader.most <= 100 + MINI.frames


def _span(first, last):
  return first * MINI.samples_per_column, last * MINI.samples_per_column
