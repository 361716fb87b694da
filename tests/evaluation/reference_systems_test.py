"""Systems that need no training."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condfoley_jax.evaluation import reference_systems
from condfoley_jax.evaluation.reference_systems import Sound, Trial

RATE = 1000
TIMES = st.lists(st.integers(0, 2 * RATE - 1), max_size=12, unique=True).map(lambda t: np.sort(t) / RATE)


def rng(seed=0):
  return np.random.default_rng(seed)


def ramp(seconds=2.0):
  """A sound each of whose samples says where it comes from."""
  return (np.arange(round(seconds * RATE)) + 1) / 4096


def source_of(pasted):
  """Which sample of `ramp` each one is, -1 for silence."""
  return np.round(np.asarray(pasted, np.float64) * 4096).astype(int) - 1


def trial(seed=0, target=(0.3, 1.2), example=(0.5, 1.0)):
  draw = rng(seed)
  sounds = [Sound(draw.uniform(-0.5, 0.5, 2 * RATE), np.array(times)) for times in (target, example)]
  return Trial(*sounds, RATE)


def paste(onsets, example_onsets, seed=0):
  return reference_systems.paste_snippets(ramp(), np.array(example_onsets), np.array(onsets), RATE, 2.0, rng(seed))


def test_a_snippet_is_as_long_as_both_sounds_have_room_for():
  # Target: 300 // 3 before the first, half of 600 between them, 600 // 3 before the second, 1100 // 4 * 2 after it.
  # Example: 900 // 3 before its onset, 1100 // 4 * 2 after it.
  found = source_of(paste([0.3, 0.9], [0.9]))
  expected = np.full(2000, -1)
  expected[200:600] = np.arange(800, 1200)
  expected[700:1450] = np.arange(700, 1450)
  np.testing.assert_array_equal(found, expected)


def test_the_example_s_other_onsets_bound_a_snippet_and_each_is_drawn_equally_often():
  # 1.0 s has room for 333 before and 500 after it.
  found = [tuple(x[x >= 0][[0, -1]]) for x in (source_of(paste([1.0], [0.8, 1.1, 1.2], seed)) for seed in range(300))]
  shares = {ends: found.count(ends) / len(found) for ends in set(found)}
  assert shares == pytest.approx({(534, 949): 1 / 3, (1000, 1149): 1 / 3, (1167, 1599): 1 / 3}, abs=0.1)


@settings(deadline=None)
@given(TIMES, TIMES.filter(len), st.integers(0, 99))
def test_what_is_pasted_comes_from_the_example_and_its_onsets_lie_on_ours(onsets, example_onsets, seed):
  found = source_of(paste(onsets, example_onsets, seed))
  at, starts = (np.round(times * RATE).astype(int) for times in (onsets, example_onsets))
  assert {*found[at]} <= {-1, *starts}
  moved_by = found - np.arange(len(found))
  allowed = {start - i for start in starts for i in at}
  assert {*moved_by[found >= 0]} <= allowed


@settings(deadline=None)
@given(TIMES.filter(len))
def test_a_sound_pasted_at_its_own_single_onset_is_itself_around_it(onsets):
  onset = onsets[:1]
  found, at = source_of(paste(onset, onset)), round(onset[0] * RATE)
  own = slice(at - at // 3, at + (2 * RATE - at) // 4 * 2)
  np.testing.assert_array_equal(found[own], np.arange(2 * RATE)[own])
  assert np.count_nonzero(found >= 0) == own.stop - own.start


def test_an_example_without_onsets_has_one_at_its_loudest_sample_and_a_silent_one_gives_silence():
  example = np.zeros(2 * RATE)
  example[700] = -0.5
  found = reference_systems.paste_snippets(example, np.zeros(0), np.array([1.0]), RATE, 2.0, rng())
  assert found.shape == (2 * RATE,) and found.dtype == np.float32 and found[1000] == -0.5
  assert not reference_systems.paste_snippets(0 * example, np.zeros(0), np.array([1.0]), RATE, 2.0, rng()).any()


@pytest.mark.parametrize("wrong", [[0.5, 0.4], [-0.1], [2.0]])
def test_onsets_outside_the_sound_or_out_of_order_are_refused(wrong):
  with pytest.raises(ValueError, match="ascend"):
    paste(wrong, [0.5])
  with pytest.raises(ValueError, match="ascend"):
    paste([0.5], wrong)


def test_oracle_is_the_target_silence_nothing_and_noise_as_loud_as_the_example():
  case = trial()
  np.testing.assert_array_equal(reference_systems.oracle(case, rng()), case.target.audio_N.astype(np.float32))
  assert not reference_systems.silence(case, rng()).any()
  noise = reference_systems.noise(case, rng())
  assert np.sqrt(np.mean(noise**2)) == pytest.approx(np.sqrt(np.mean(case.example.audio_N**2)), rel=0.1)
  assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.1


def test_true_onsets_are_the_example_s_sound_and_wrong_material_another_s_at_the_same_times():
  case, other = trial(0, example=[0.5]), trial(1, example=[0.5])
  right = reference_systems.true_onsets(case, rng())
  wrong = reference_systems.wrong_material(case, other, rng())
  np.testing.assert_array_equal(right != 0, wrong != 0)
  for found, source in ((right, case), (wrong, other)):
    assert found[[300, 1200]].tolist() == [np.float32(source.example.audio_N[500])] * 2


def test_onset_transfer_pastes_where_contacts_that_are_seen_are_heard():
  case = trial(0, example=[0.5])
  later_s = reference_systems._HEARD_LATER_S
  found = reference_systems.onset_transfer(case, np.array([0.3, 1.2]) - later_s, rng())
  assert found[[300, 1200]].tolist() == [np.float32(case.example.audio_N[500])] * 2


@pytest.mark.parametrize(
  ("sure", "frames"),
  [
    ({3: 0.9, 20: 0.6}, [3, 20]),
    # Within four frames before the surest, or three after it, there is no other; what is beyond is its own.
    ({10: 0.9, 6: 0.8, 13: 0.8}, [10]),
    ({10: 0.9, 5: 0.8, 14: 0.8}, [5, 10, 14]),
    ({7: 0.3, 20: 0.2}, [7]),
    ({20: 0.5}, [20]),
    ({0: 0.9, 29: 0.9}, [0, 29]),
  ],
)
def test_seen_onsets_are_the_surest_frames_by_the_published_rule(sure, frames):
  seen = np.zeros(30, np.float32)
  for frame, probability in sure.items():
    seen[frame] = probability
  np.testing.assert_allclose(reference_systems.seen_onsets(seen, 15), (np.array(frames) + 0.5) / 15)


def test_shuffled_is_the_other_target_at_this_one_s_length():
  case, other = trial(0), trial(1)
  np.testing.assert_array_equal(reference_systems.shuffled(case, other, rng()), other.target.audio_N.astype(np.float32))
  short = other._replace(target=Sound(other.target.audio_N[:500], np.zeros(0)))
  found = reference_systems.shuffled(case, short, rng())
  assert len(found) == 2 * RATE and found[:500].any() and not found[500:].any()
  assert len(reference_systems.shuffled(short, case, rng())) == 500


def test_the_metronome_beats_five_times_a_second():
  case = trial(example=[0.5])
  found = reference_systems.metronome(case, rng())
  beats = np.flatnonzero(found == np.float32(case.example.audio_N[500])) / RATE
  np.testing.assert_allclose(beats, np.arange(0.1, 2, 0.2))


def test_random_onsets_are_as_frequent_as_asked_and_anywhere(monkeypatch):
  times = []
  monkeypatch.setattr(reference_systems, "_paste", lambda trial, example, onsets_s, rng: times.append(onsets_s))
  for seed in range(1000):
    reference_systems.random_onsets(trial(), rng(seed), 2.5)
  counts = np.array([len(t) for t in times])
  # Poisson: mean and variance are 5.
  assert counts.mean() == pytest.approx(5, abs=0.3) and counts.var() == pytest.approx(5, abs=0.8)
  assert np.histogram(np.concatenate(times), 4, (0, 2))[0] / counts.sum() == pytest.approx(np.full(4, 0.25), abs=0.03)


@pytest.mark.parametrize(
  "system",
  [
    reference_systems.noise,
    reference_systems.true_onsets,
    reference_systems.metronome,
    lambda case, rng: reference_systems.random_onsets(case, rng, 3.0),
  ],
)
def test_the_same_seed_gives_the_same_sound_and_another_does_not(system):
  case = trial(example=[0.2, 0.5, 1.0, 1.4])
  one, again, other = (system(case, rng(seed)) for seed in (1, 1, 2))
  np.testing.assert_array_equal(one, again)
  assert one.dtype == np.float32 and one.shape == (2 * RATE,) and np.any(one != other)


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcd"), min_size=2, max_size=20).filter(lambda x: len(set(x)) > 1), st.integers(0, 99))
def test_another_trial_has_another_label(labels, seed):
  labels = np.array(labels)
  assert np.all(labels[reference_systems.draw_others(labels, rng(seed))] != labels)


def test_other_trials_are_drawn_equally_often_and_there_must_be_some():
  labels = np.array([0] * 100 + [1, 1, 2, 2])
  drawn = np.concatenate([reference_systems.draw_others(labels, rng(seed))[:100] for seed in range(20)])
  np.testing.assert_allclose(np.bincount(drawn - 100) / len(drawn), 0.25, atol=0.05)
  with pytest.raises(ValueError, match="one kind"):
    reference_systems.draw_others(np.zeros(3), rng())
