"""Where a window of codes goes on from the one before, and a stretch of a long query likewise, nothing is heard.

Every 15th column of codes, from the 28th on, is the first that a window makes. In takes of the shipped weights, level
and spectrum change at such columns no more than they do at the columns between them.
"""

import dataclasses
import fractions

import numpy as np
import pytest
import soundfile

from condfoley_jax import cli
from condfoley_jax.audio.mel import log_mel
from condfoley_jax.clip import MINI
from condfoley_jax.conventions import OURS
from condfoley_jax.sampling import long_video, windows
from data_pipelines.builders.drumstick import render, scene

SECONDS, TAKES = 40, 4
PER_COLUMN = round(MINI.column_seconds * MINI.sample_rate / MINI.hop)  # mel frames
# Mel frames on either side of a place that are compared: 44 ms.
ACROSS = 4
STROKES = {
  # A stick that lies still: no onset is due.
  "nothing": (),
  # At no multiple of what windows move on by.
  "scratches": tuple(scene.Stroke(0.5 + 0.5537 * i, 0.7, 0.48) for i in range(70)),
}


def video(folder, index, name, seconds):
  """The mp4 of a scene in which these strokes, as far as there is time, are all that happens."""
  drawn = scene.draw_scene("test", 7, index)
  strokes = tuple(stroke for stroke in STROKES[name] if stroke.end_s < seconds - 0.4)
  made = dataclasses.replace(drawn, fps=fractions.Fraction(15), frames=15 * seconds, strokes=strokes)
  folder.mkdir()
  return render.render_scene(made, folder)


def changes(audio):
  """At the start of each column but the first and last, how much level (dB) and log-mel change across it: [C, 2]."""
  mel = np.asarray(log_mel(audio[None].astype(np.float32), MINI)[0], np.float64).T
  power = np.convolve(audio**2, np.ones(MINI.hop) / MINI.hop, "valid")[:: MINI.hop]
  level = 10 * np.log10(power + 1e-9)
  starts = range(PER_COLUMN, len(level) - PER_COLUMN, PER_COLUMN)
  across = lambda x, at: x[at : at + ACROSS].mean(0) - x[at - ACROSS : at].mean(0)
  return np.array([(abs(across(level, at)), np.abs(across(mel, at)).mean()) for at in starts])


@pytest.mark.slow
@pytest.mark.parametrize("name", STROKES)
def test_level_and_spectrum_change_no_more_at_seams_than_elsewhere(tmp_path, monkeypatch, name):
  monkeypatch.setattr(long_video, "CLIPS", 4)
  query, example = video(tmp_path / "q", 3, name, SECONDS), video(tmp_path / "e", 20, "scratches", 8)
  words = [
    "generate",
    str(query),
    "--example",
    str(example),
    "--candidates",
    str(TAKES),
    "--out",
    str(tmp_path / "out"),
  ]
  assert cli.main(words) == 0
  steps = windows.steps(MINI)
  takes = [soundfile.read(tmp_path / "out" / "takes" / f"{take:02d}.wav")[0] for take in range(1, TAKES + 1)]
  assert {len(take) for take in takes} == {SECONDS * MINI.sample_rate}
  count = SECONDS * MINI.fps
  seams = [window.start + window.known for window in windows.plan(count, MINI, OURS)[1:]]
  assert seams == list(range(steps.first, count, steps.hop)) and len(seams) > 30
  # From the first of them on, changes by how far columns are from the last seam: [hop, 2], seams first.
  columns = [changes(take)[steps.first - 1 :] for take in takes]
  means = np.array([np.mean([x for c in columns for x in c[place :: steps.hop]], 0) for place in range(steps.hop)])
  assert (means[0] <= means[1:].max(0)).all(), means
