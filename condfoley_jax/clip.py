"""ClipSpec: the one place for rates, lengths and grids.

Everything that needs a number of samples, mel frames, video frames, codes or transformer positions reads it from here.
Plain Python on purpose: importing this module loads neither JAX nor NumPy.
"""

import dataclasses
from typing import Literal

# What a hand-edited config may ask for; far beyond what any model reads.
_LONGEST_S, _LARGEST_FRAME, _LONGEST_FFT = 3600, 1024, 2**16


@dataclasses.dataclass(frozen=True)
class ClipSpec:
  """Rates and grid of one clip (the window that the transformer sees).

  Attributes:
    sample_rate: audio rate, Hz.
    fps: video rate, frames per second.
    seconds: length of a clip, s.
    frame_resize: side to which a whole frame is resized, aspect ratio ignored, px.
    frame_filter: how it is resized, `area` or `bicubic` (the published one).
    frame_size: side of the centre crop of that, what the video encoder sees, px.
    n_fft: STFT window and FFT length, samples; even, and not below the hop.
    hop: STFT hop, samples.
    n_mels: mel bins.
    fmin, fmax: lower and upper edge of the mel bank, Hz.
    mel_scale: `slaney` or `htk` (both with Slaney area normalisation).
    mel_padding: `same` pads so that mel frame m is centred on samples [hop*m, hop*(m+1)) and there are exactly
      samples/hop frames; `center` is the usual reflect padding with 1 + samples//hop frames.
    mel_crop: mel frames that the models read, or None for as many as a clip has.
    mel_per_row, mel_per_column: mel bins and mel frames that one code stands for.
  """

  sample_rate: int
  fps: int
  seconds: float
  frame_resize: int
  frame_filter: Literal["area", "bicubic"]
  frame_size: int
  n_fft: int
  hop: int
  n_mels: int
  fmin: float
  fmax: float
  mel_scale: Literal["slaney", "htk"]
  mel_padding: Literal["same", "center"]
  mel_crop: int | None
  mel_per_row: int
  mel_per_column: int

  def __post_init__(self):
    for name in ("sample_rate", "fps", "seconds", "n_fft", "hop", "n_mels", "mel_per_row", "mel_per_column"):
      if not getattr(self, name) > 0:
        raise ValueError(f"ClipSpec.{name} must be positive, not {getattr(self, name)}")
    if self.seconds > _LONGEST_S:
      raise ValueError(f"ClipSpec.seconds must be {_LONGEST_S} or less, not {self.seconds}")
    if self.n_fft % 2 or not self.hop <= self.n_fft <= _LONGEST_FFT:
      raise ValueError(f"ClipSpec.n_fft must be even, from hop ({self.hop}) to {_LONGEST_FFT}, not {self.n_fft}")
    if self.frame_resize > _LARGEST_FRAME:
      raise ValueError(f"ClipSpec.frame_resize must be {_LARGEST_FRAME} or less, not {self.frame_resize}")
    if self.mel_scale not in ("slaney", "htk") or self.mel_padding not in ("same", "center"):
      raise ValueError(f"no mel scale `{self.mel_scale}` with padding `{self.mel_padding}`")
    if not 0 <= self.fmin < self.fmax <= self.sample_rate / 2:
      raise ValueError(f"mel bins from {self.fmin} to {self.fmax} Hz do not lie below {self.sample_rate / 2} Hz")
    if not 0 < self.frame_size <= self.frame_resize:
      raise ValueError(f"a crop of {self.frame_size} px does not fit into {self.frame_resize} px")
    if self.frame_filter not in ("area", "bicubic"):
      raise ValueError(f"frames are resized by `area` or `bicubic`, not `{self.frame_filter}`")
    if self.frame_resize % 2:
      raise ValueError(f"frames of {self.frame_resize} px: stored pictures have an even side")
    if self.mel_crop is not None and self.mel_crop <= 0:
      raise ValueError(f"ClipSpec.mel_crop must be positive, not {self.mel_crop}")
    if self.sample_rate % self.fps:
      raise ValueError(f"{self.sample_rate} Hz is no whole number of samples per frame at {self.fps} fps")
    if self.n_mels % self.mel_per_row or self.mel_frames % self.mel_per_column:
      raise ValueError(
        f"{self.n_mels} x {self.mel_frames} mel is no whole number of {self.mel_per_row} x {self.mel_per_column} codes"
      )

  @property
  def samples(self) -> int:
    """Audio samples of a clip."""
    return round(self.seconds * self.sample_rate)

  @property
  def samples_per_frame(self) -> int:
    """Audio samples per video frame."""
    return self.sample_rate // self.fps

  @property
  def frames(self) -> int:
    """Video frames of a clip."""
    return round(self.seconds * self.fps)

  def mel_frames_of(self, samples: int) -> int:
    """Mel frames that the front end computes for `samples` samples, before any crop."""
    return samples // self.hop + (self.mel_padding == "center")

  @property
  def mel_frames(self) -> int:
    """Mel frames of a clip, after the crop."""
    return self.mel_crop or self.mel_frames_of(self.samples)

  def crop_start(self, where: Literal["center", "first"]) -> int:
    """Which of a clip's mel frames is the first that the models read."""
    spare = self.mel_frames_of(self.samples) - self.mel_frames
    return round(spare / 2) if where == "center" and spare > 0 else 0

  @property
  def example_samples(self) -> int:
    """Audio samples of an example: a clip, or what the models read where that is longer."""
    return max(self.samples, self.mel_frames * self.hop)

  @property
  def code_rows(self) -> int:
    """Rows of the code grid (frequency)."""
    return self.n_mels // self.mel_per_row

  @property
  def code_columns(self) -> int:
    """Columns of the code grid (time)."""
    return self.mel_frames // self.mel_per_column

  @property
  def codes(self) -> int:
    """Codes of a clip."""
    return self.code_rows * self.code_columns

  @property
  def samples_per_column(self) -> int:
    """Audio samples per code column."""
    return self.hop * self.mel_per_column

  @property
  def column_seconds(self) -> float:
    """Length of a code column, s."""
    return self.samples_per_column / self.sample_rate

  @property
  def prefix_positions(self) -> int:
    """Positions of [condition frames | query frames | condition codes], what prefill reads."""
    return 2 * self.frames + self.codes

  @property
  def positions(self) -> int:
    """Positions of [condition frames | query frames | condition codes | target codes]."""
    return self.prefix_positions + self.codes


# 6 mel frames per video frame and one code column per video frame: codes, frames and samples line up at any length.
MINI = ClipSpec(
  sample_rate=22050,
  fps=15,
  seconds=2.0,
  frame_resize=64,
  frame_filter="area",
  frame_size=64,
  n_fft=1024,
  hop=245,
  n_mels=80,
  fmin=40.0,
  fmax=11025.0,
  mel_scale="slaney",
  mel_padding="same",
  mel_crop=None,
  mel_per_row=20,
  mel_per_column=6,
)

# The authors' grid (paper supp.): 173 mel frames cropped to 160, 5 x 10 codes, 160 positions.
PAPER = ClipSpec(
  sample_rate=22050,
  fps=15,
  seconds=2.0,
  frame_resize=128,
  frame_filter="bicubic",
  frame_size=112,
  n_fft=1024,
  hop=256,
  n_mels=80,
  fmin=125.0,
  fmax=7600.0,
  mel_scale="htk",
  mel_padding="center",
  mel_crop=160,
  mel_per_row=16,
  mel_per_column=16,
)

# What a pod is for: full bandwidth, and clips long enough for several contacts. As in `mini`, codes, frames and samples
# line up: 8 x 78 codes, and 1404 positions, which fill 11 TPU tiles of 128 but for 4.
LARGE = ClipSpec(
  sample_rate=44100,
  fps=15,
  seconds=5.2,
  frame_resize=144,
  frame_filter="area",
  frame_size=128,
  n_fft=2048,
  hop=490,
  n_mels=128,
  fmin=30.0,
  fmax=22050.0,
  mel_scale="slaney",
  mel_padding="same",
  mel_crop=None,
  mel_per_row=16,
  mel_per_column=6,
)
