"""The clip's grid: the numbers of both presets, and what follows from any rates."""

import dataclasses
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condfoley_jax.clip import MINI, PAPER, ClipSpec


def test_mini_grid_is_exact():
  assert (MINI.samples, MINI.frames, MINI.samples_per_frame) == (44_100, 30, 1470)
  assert MINI.mel_frames == MINI.mel_frames_of(MINI.samples) == 180
  assert MINI.samples_per_frame == 6 * MINI.hop
  assert (MINI.code_rows, MINI.code_columns, MINI.codes) == (4, 30, 120)
  assert MINI.column_seconds <= 0.107
  assert MINI.code_columns * MINI.samples_per_column == MINI.samples


def test_mini_columns_and_frames_line_up_at_any_length():
  for frames in (1, 7, 30, 901):
    samples = frames * MINI.samples_per_frame
    assert MINI.mel_frames_of(samples) == 6 * frames
    assert MINI.mel_frames_of(samples) % MINI.mel_per_column == 0


def test_paper_grid_is_the_published_one():
  assert (PAPER.samples, PAPER.frames) == (44_100, 30)
  assert (PAPER.mel_frames_of(PAPER.samples), PAPER.mel_frames) == (173, 160)
  assert (PAPER.code_rows, PAPER.code_columns, PAPER.codes) == (5, 10, 50)
  assert (PAPER.prefix_positions, PAPER.positions) == (110, 160)
  assert PAPER.column_seconds == pytest.approx(0.1858, abs=1e-4)
  assert (PAPER.sample_rate, PAPER.fps, PAPER.n_fft, PAPER.hop, PAPER.n_mels) == (22_050, 15, 1024, 256, 80)
  assert (PAPER.fmin, PAPER.fmax, PAPER.mel_scale, PAPER.mel_padding) == (125, 7600, "htk", "center")
  assert (PAPER.frame_resize, PAPER.frame_size) == (128, 112)


@pytest.mark.parametrize("spec", [MINI, PAPER])
@pytest.mark.parametrize("name", ["sample_rate", "fps", "seconds", "hop", "n_mels", "mel_per_row", "mel_per_column"])
@pytest.mark.parametrize("value", [0, -1])
def test_what_must_be_positive_is_refused_by_name(spec, name, value):
  with pytest.raises(ValueError, match=f"ClipSpec.{name} must be positive, not {value}"):
    dataclasses.replace(spec, **{name: value})


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"seconds": float("inf")}, "seconds must be 3600 or less, not inf"),
    ({"seconds": float("nan")}, "seconds must be positive, not nan"),
    ({"n_fft": 1}, r"n_fft must be even, from hop \(245\) to 65536, not 1"),
    ({"n_fft": 100}, "n_fft must be even, from hop .*, not 100"),
    ({"n_fft": 1023}, "n_fft must be even, from hop .*, not 1023"),
    ({"n_fft": 2**20}, "n_fft must be even, from hop .*, not 1048576"),
    ({"frame_resize": 100_000}, "frame_resize must be 1024 or less, not 100000"),
    ({"fps": 16}, "22050 Hz is no whole number of samples per frame at 16 fps"),
    ({"n_mels": 81}, "81 x 180 mel is no whole number of 20 x 6 codes"),
    ({"mel_per_row": 21}, "no whole number of 21 x 6 codes"),
    ({"mel_per_column": 7}, "no whole number of 20 x 7 codes"),
    ({"mel_padding": "center"}, "80 x 181 mel"),
    ({"mel_crop": 175}, "80 x 175 mel"),
    ({"mel_crop": 0}, "mel_crop must be positive"),
    ({"frame_resize": 65}, "even side"),
    ({"frame_filter": "nearest"}, "not `nearest`"),
    ({"fmax": 12_000.0}, "do not lie below 11025"),
    ({"fmin": 11_025.0}, "do not lie below 11025"),
    ({"mel_scale": "bark"}, "no mel scale `bark`"),
    ({"mel_padding": "valid"}, "padding `valid`"),
    ({"frame_size": 65}, "crop of 65 px"),
  ],
)
def test_what_does_not_fit_together_is_refused(change, message):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(MINI, **change)


@st.composite
def specs(draw) -> ClipSpec:
  """Specs whose columns are whole: a clip of `columns` columns, with the frames that one mel frame or more lasts."""
  fps, per_frame, hop = (draw(st.integers(1, n)) for n in (60, 8, 500))
  per_column, columns, rows, per_row = (draw(st.integers(1, n)) for n in (16, 40, 6, 20))
  padding, crop = draw(st.sampled_from(["same", "center"])), per_column * columns
  frames = -(-crop // per_frame)
  return dataclasses.replace(
    MINI,
    sample_rate=fps * per_frame * hop,
    fps=fps,
    seconds=frames / fps,
    hop=hop,
    n_mels=rows * per_row,
    fmin=0.0,
    fmax=fps * per_frame * hop / 2,
    mel_padding=padding,
    mel_crop=crop,
    mel_per_row=per_row,
    mel_per_column=per_column,
  )


@settings(deadline=None)
@given(spec=specs())
def test_grid_is_consistent(spec):
  assert spec.code_rows * spec.mel_per_row == spec.n_mels
  assert spec.code_columns * spec.mel_per_column == spec.mel_frames <= spec.mel_frames_of(spec.samples)
  assert spec.codes == spec.code_rows * spec.code_columns
  assert spec.frames * spec.samples_per_frame == spec.samples
  assert spec.column_seconds * spec.code_columns <= spec.seconds + 1e-6
  assert spec.prefix_positions == 2 * spec.frames + spec.codes
  assert spec.positions == spec.prefix_positions + spec.codes


def test_importing_the_clip_loads_neither_jax_nor_numpy():
  code = "import sys, condfoley_jax.clip; sys.exit(bool({'jax', 'numpy'} & set(sys.modules)))"
  subprocess.run([sys.executable, "-c", code], check=True)


def test_models_that_read_more_than_a_clip_need_a_longer_example():
  longer = dataclasses.replace(PAPER, mel_crop=192)
  assert (longer.code_columns, longer.codes, longer.positions) == (12, 60, 180)
  assert longer.example_samples == 192 * 256 and longer.crop_start("center") == 0
  assert PAPER.example_samples == PAPER.samples and (PAPER.crop_start("center"), PAPER.crop_start("first")) == (6, 0)
