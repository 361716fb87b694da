"""Windows that cover a query, and takes that depend on their own seed alone."""

import functools

import jax
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.audio.mel import log_mel
from condfoley_jax.clip import MINI
from condfoley_jax.conventions import Conventions
from condfoley_jax.sampling import detail, generate, program
from condfoley_jax.sampling.generate import Example, Generator, Job
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.weights import folder
from condfoley_jax.weights.folder import Weights
from tests import small


@pytest.fixture(scope="module")
def generator():
  return Generator(Weights(MINI, Conventions(detail_frames=7), small.parts(but=("sync_net",)), "none"))


def _with(conventions, generator):
  """The weights of a generator, used otherwise."""
  return Weights(MINI, conventions, generator.parts, "none")


def _inputs(frames):
  rng = np.random.default_rng(0)
  pictures = rng.integers(0, 256, (frames, MINI.frame_size, MINI.frame_size, 3), np.uint8)
  clip = rng.integers(0, 256, (MINI.frames, MINI.frame_size, MINI.frame_size, 3), np.uint8)
  return pictures, Example(clip, rng.uniform(-0.5, 0.5, MINI.samples).astype(np.float32))


@pytest.mark.parametrize("frames", [7, 30, pytest.param(52, marks=pytest.mark.slow)])
def test_shapes_at_any_length(generator, frames):
  takes = generator(*_inputs(frames), Sampling(), [0, 1])
  assert takes.audio.shape == (2, frames * MINI.samples_per_frame)
  assert takes.grids.shape == (2, MINI.code_rows, frames)
  assert takes.seen.shape == (frames,)
  assert ((takes.seen > 0) & (takes.seen < 1)).all()


def test_the_weights_say_how_takes_are_drawn_where_the_user_does_not():
  said = Conventions(top_k=7, guidance=3.0)
  assert generate.sampling_of(said) == Sampling(1.0, 7, 1.0, 0.0, 3.0)
  assert generate.sampling_of(said, temperature=0.5, top_k=9, top_p=0.8, min_p=0.1, guidance=2.0) == Sampling(
    0.5, 9, 0.8, 0.1, 2.0
  )
  assert generate.sampling_of(said, top_k=0, guidance=0.0) == Sampling(1.0, 0, 1.0, 0.0, 0.0)


def test_guidance_of_1_costs_nothing():
  assert generate.sampling_of(Conventions()).guidance is None
  assert generate.sampling_of(Conventions(guidance=3.0), guidance=1.0).guidance is None


@pytest.mark.slow
def test_takes_get_the_detail_of_the_example_and_are_brought_nearer_to_their_mel(generator):
  """As the weights say, and by as much as each clip's level allows: no take is loud enough to be turned down here."""
  inputs, vqgan = _inputs(30), generator.parts["vqgan"]
  said = Conventions(detail_frames=7, mel_passes=4)
  plain, made = (g(*inputs, Sampling(), [0, 1]) for g in (generator, Generator(_with(said, generator))))
  np.testing.assert_array_equal(plain.grids, made.grids)
  levelled, gain = program.levelled(inputs[1].audio[None], said)
  example, decoded = log_mel(levelled, MINI).repeat(2, 0), vqgan.decode(plain.grids)
  keys = jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(seed), 2**32 - 1))(np.arange(2))
  wanted = detail.with_detail(keys, decoded, example, vqgan.decode(vqgan.encode(example)), 7)
  off = lambda takes, mel: np.abs(log_mel(takes.audio * gain, MINI) - np.clip(mel, -1, 1)).mean()
  assert off(made, wanted) < 0.8 * off(plain, wanted), "passes"
  assert off(made, wanted) < 0.8 * off(made, decoded), "detail"


def test_a_take_depends_on_its_own_seed(generator):
  inputs = _inputs(52)
  together = generator(*inputs, Sampling(), [3, 4, 5]).grids
  swapped = generator(*inputs, Sampling(), [5, 3, 9]).grids
  assert np.array_equal(together[0], swapped[1])
  assert np.array_equal(together[2], swapped[0])
  assert not np.array_equal(together[1], swapped[2])


def test_greedy_takes_are_all_the_same(generator):
  grids = generator(*_inputs(30), Sampling(temperature=0.0), [0, 1, 2]).grids
  assert (grids == grids[:1]).all()


def test_an_example_of_one_click_is_not_blown_up(generator):
  frames, example = _inputs(30)
  click = np.zeros_like(example.audio)
  click[1000] = 0.5
  takes = generator(frames, example._replace(audio=click), Sampling(temperature=0.0), [0])
  # The inverse of the gain is at least a tenth of the click's peak over that of an ordinary example.
  assert np.abs(takes.audio).max() > 1e-3


def test_a_quiet_example_gives_a_quiet_take(generator):
  frames, example = _inputs(30)
  loud = generator(frames, example, Sampling(temperature=0.0), [0]).audio
  quiet = generator(frames, example._replace(audio=example.audio / 8), Sampling(temperature=0.0), [0]).audio
  assert np.allclose(quiet, loud / 8, atol=1e-3 * np.abs(loud).max())


def test_a_loud_example_gives_a_loud_take(generator):
  """However loud: whoever writes it turns it down, and knows by how much."""
  frames, example = _inputs(30)
  usual = generator(frames, example, Sampling(temperature=0.0), [0]).audio
  loud = generator(frames, example._replace(audio=100 * example.audio), Sampling(temperature=0.0), [0]).audio
  assert np.abs(loud).max() > 1.5
  np.testing.assert_allclose(loud, 100 * usual, atol=1e-3 * np.abs(loud).max())


def test_a_take_that_would_clip_is_turned_down_alone():
  quiet, loud = np.array([0.5, -0.2], np.float32), np.array([0.3, -2.0], np.float32)
  limited = np.asarray(program.limit(np.stack([quiet, loud])[None])[0])
  np.testing.assert_array_equal(limited[0], quiet)
  np.testing.assert_allclose(limited[1], loud * 0.495, rtol=1e-6)


@pytest.mark.slow
def test_a_narrow_transformer_gives_sound_in_the_usual_width(generator, tmp_path):
  folder.save(tmp_path / "w", MINI, generator.parts)
  narrow = generate.load(tmp_path / "w", narrow=True)
  held = {name: {x.dtype.name for x in jax.tree.leaves(nnx.state(part))} for name, part in narrow.components.items()}
  assert held["transformer"] == {"bfloat16"} and held["vocoder"] == {"float32"}
  inputs = _inputs(30)
  made, wide = (Generator(w)(*inputs, Sampling(), [0, 1]) for w in (narrow, generate.load(tmp_path / "w")))
  assert made.audio.dtype == np.float32 and made.grids.shape == wide.grids.shape
  # The same draws from logits that differ by rounding.
  assert (made.grids[:, :, 0] == wide.grids[:, :, 0]).mean() > 0.5


def test_motion_is_where_the_picture_changes():
  frames = np.zeros((1, 5, 4, 4, 3), np.uint8)
  frames[0, 2] = 200
  frames[0, 4] = 100
  assert program.motion(frames).tolist() == [[0, 0, 1, 1, 0.5]]
  assert not program.motion(frames[:, :2]).any()


def test_the_published_example_is_as_long_as_the_query_in_whole_clips(generator):
  published = Generator(Weights(MINI, Conventions(windows="half"), generator.parts, "none"))
  assert [published.example_clips(frames) for frames in (7, 30, 59, 60, 121)] == [1, 1, 1, 2, 4]
  assert generator.example_clips(121) == 1


@pytest.mark.slow
def test_published_windows_see_the_first_clip_of_an_example_that_is_encoded_as_a_whole(generator):
  published = Generator(Weights(MINI, Conventions(bn_mode="batch", windows="half"), generator.parts, "none"))
  frames, example = _inputs(60)
  audio = np.concatenate([example.audio] * 2)
  same, other = (Example(np.concatenate([example.frames, f]), audio) for f in (example.frames, 255 - example.frames))
  takes = published(frames, same, Sampling(temperature=0.0), [0])
  assert takes.audio.shape == (1, 60 * MINI.samples_per_frame) and takes.grids.shape[2] == 60
  encoder = generator.parts["video_encoder"]
  look = jax.jit(functools.partial(program.see, conventions=Conventions(bn_mode="batch")))
  seen = [np.asarray(look(encoder, e.frames[None]))[:, : MINI.frames] for e in (same, other)]
  assert np.abs(seen[0] - seen[1]).max() > 1e-3, "the second clip moves the statistics of the first"
  together = look(encoder, np.stack([same.frames, other.frames]))
  np.testing.assert_allclose(together[:, : MINI.frames], np.concatenate(seen), atol=1e-5)


def test_jobs_together_are_what_each_is_alone(generator):
  (long, example), (short, other) = _inputs(52), _inputs(38)
  jobs = [Job(long, example, [0, 1, 2]), Job(short, other._replace(audio=other.audio / 3), [7])]
  together = generator.make(jobs, Sampling())
  for takes, job in zip(together, jobs, strict=True):
    alone = generator(*job[:2], Sampling(), job.seeds)
    np.testing.assert_array_equal(takes.grids, alone.grids)
    np.testing.assert_allclose(takes.audio, alone.audio, atol=1e-4)
    np.testing.assert_allclose(takes.seen, alone.seen, atol=1e-5)
    assert takes.audio.shape == (len(job.seeds), len(job.frames) * MINI.samples_per_frame)
  with pytest.raises(ValueError, match=r"buckets \[30, 60\]"):
    generator.make([jobs[0], jobs[1]._replace(frames=short[:30])], Sampling())


def test_more_takes_than_go_at_once_are_made_in_calls(generator, monkeypatch):
  inputs = _inputs(30)
  together = generator(*inputs, Sampling(), range(5))
  monkeypatch.setattr(generate, "_TAKES", 2)
  assert generator.at_once(30) == 2 and len(generator.begin([Job(*inputs, range(5))], Sampling())) == 3
  apart = generator(*inputs, Sampling(), range(5))
  np.testing.assert_array_equal(apart.grids, together.grids)
  np.testing.assert_allclose(apart.audio, together.audio, atol=1e-4)
  np.testing.assert_allclose(apart.syncs, together.syncs, atol=1e-4)


def test_long_queries_are_made_a_few_takes_at_a_time(generator):
  assert generator.at_once(30) == 128 and generator.at_once(15 * 600) == 3 and generator.at_once(10**6) == 1


def test_one_program_serves_all_lengths_of_a_bucket_seeds_and_settings(generator):
  inputs = {frames: _inputs(frames) for frames in (31, 45, 60)}
  generator(*inputs[31], Sampling(), [0, 1])
  compiled = program.make_takes._cache_size()
  for frames, sampling, seeds in ((45, Sampling(0.0), [5, 6]), (60, Sampling(0.7, 3, 0.5, 0.1), [2**32 - 1, 0])):
    generator(*inputs[frames], sampling, seeds)
  assert program.make_takes._cache_size() == compiled
  generator(*_inputs(61), Sampling(), [0, 1])
  assert program.make_takes._cache_size() == compiled + 1


def test_a_length_in_a_bucket_has_the_codes_of_that_length(generator):
  frames, example = _inputs(60)
  whole = generator(frames, example, Sampling(), [0]).grids
  # Windows that end before the cut see the same; later ones see the last frame held.
  part = generator(frames[:46], example, Sampling(), [0]).grids
  assert part.shape[2] == 46
  np.testing.assert_array_equal(part[:, :, :45], whole[:, :, :45])
