"""Windows are as far apart as their class says, and the network learns to tell."""

import jax
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.stages import registry
from condfoley_jax.weights import folder
from configs import sync
from tests.fill import filled
from tests.stages.descent import created, metrics_of_steps

ENCODER = {"stem_kernel": 3, "stem_stride": 4, "stem_mid": 4, "widths": (8,), "blocks": (1,)}
SIZES = {"encoder": ENCODER, "n_mels": 20, "audio_width": 16, "audio_layers": 1, "width": 8, "mismatch": True}


def stage_of(preset="mini", **changes):
  config = sync.get_config(preset).to_dict()
  plain = {"picture": {}, "sound": {}, "dtype": "float32"}
  return registry.create(config | {"model": {"sync_net": SIZES}} | plain | changes)


def moments(clip, clips):
  """Frames and sound in which every frame and every sample tells when it is."""
  frames = np.broadcast_to(
    np.arange(clip.frames, dtype=np.float32)[None, :, None, None, None], (clips, clip.frames, 2, 2, 1)
  )
  return frames, np.broadcast_to(np.arange(clip.samples, dtype=np.float32), (clips, clip.samples))


@pytest.mark.parametrize("preset", ["mini", "paper_gh", "large"])
def test_windows_are_as_far_apart_as_their_class_says(preset):
  stage = stage_of(preset)
  clip, model = stage.clip, filled(lambda: stage.create(Keys(0)))
  windows = jax.jit(lambda f, a, k: stage.windows(model, f, a, k))(*moments(clip, 300), jax.random.key(0))
  frames, audio, classes = windows[:3]
  np.testing.assert_array_equal(windows.seen_from, np.asarray(frames)[:, 0, 0, 0, 0] * clip.samples_per_frame)
  np.testing.assert_array_equal(windows.heard_from, np.asarray(audio)[:, 0])
  assert frames.shape[1] * clip.samples_per_frame == audio.shape[1]
  seen_s, heard_s = np.asarray(frames)[:, 0, 0, 0, 0] / clip.fps, np.asarray(audio)[:, 0] / clip.sample_rate
  offsets_s = model.sync_net.config.offsets_s(clip.fps)[np.asarray(classes)]
  # What happens at one time is so much later in the sound's window than in the picture's.
  np.testing.assert_allclose(seen_s - heard_s, offsets_s, atol=1e-5)
  np.testing.assert_array_equal(np.diff(frames[:, :, 0, 0, 0]), 1)
  np.testing.assert_array_equal(np.diff(audio), 1)
  assert set(np.unique(classes)) == set(range(model.sync_net.config.classes))


def flashes(clip, clips):
  """A flash and a click at the same random times."""
  rng = np.random.default_rng(0)
  frames = np.full((clips, clip.frames, 16, 16, 3), 40, np.uint8)
  onsets = np.zeros((2, clips, clip.frames), np.float32)
  audio = 1e-3 * rng.standard_normal((clips, clip.samples))
  for row in range(clips):
    for frame in rng.choice(clip.frames, 6, replace=False):
      frames[row, frame], onsets[0, row, frame] = 220, 1
      audio[row, frame * clip.samples_per_frame :][:500] += 0.5
  return {"frames": frames, "audio": audio.astype(np.float32), "onsets": onsets[0], "offsets": onsets[1]}


@pytest.mark.slow
def test_loss_goes_down():
  stage = stage_of(clip=sync.get_config("mini").clip.to_dict() | {"frame_resize": 16, "frame_size": 16})
  model = created(stage)
  steps = metrics_of_steps(stage, model, flashes(stage.clip, 16), steps=30, rate=1e-2)
  losses = [s["loss"] for s in steps]
  assert losses[0] > 2.5 and np.mean(losses[-5:]) < 0.7 * np.log(33)
  scores = nnx.jit(stage.evaluate)(model, flashes(stage.clip, 8), jax.random.key(1))
  assert scores["within_100ms"] >= scores["within_50ms"] >= scores["accuracy"]


def test_mistakes_are_where_picture_and_sound_overlap():
  stage = stage_of()
  model, batch = filled(lambda: stage.create(Keys(0))), flashes(stage.clip, 8)
  windows = stage.windows(model, batch["frames"], batch["audio"], jax.random.key(0))
  for seed in range(5):
    wrong = np.asarray(stage._mistaken(windows, batch, jax.random.key(seed)))
    own = np.arange(wrong.shape[1]) + np.asarray(windows.heard_from)[:, None]
    seen = (own >= windows.seen_from[:, None]) & (own < windows.seen_from[:, None] + wrong.shape[1])
    differs = wrong != windows.audio
    assert differs.any(1).all()
    whole = (wrong == np.roll(windows.audio, 1, 0)).all(1)
    # From the event's beginning on: what goes with it may be heard longer than the picture lasts.
    begins = differs.argmax(1)
    assert (seen[np.arange(8), begins] | whole).all()


@pytest.mark.slow
def test_the_encoder_can_begin_with_trained_weights():
  stage = registry.create(sync.get_config("mini").to_dict() | {"pretrained": {"video_encoder": str(folder.SHIPPED)}})
  encoder = stage.create(Keys(0)).sync_net.encoder
  shipped = folder.load(folder.SHIPPED, only=("video_encoder",)).components["video_encoder"]
  for ours, theirs in zip(*(jax.tree.leaves(nnx.state(x)) for x in (encoder, shipped)), strict=True):
    np.testing.assert_array_equal(ours, theirs)
  with pytest.raises(ValueError, match="its video_encoder is not as"):
    stage_of(pretrained={"video_encoder": str(folder.SHIPPED)}).create(Keys(0))
