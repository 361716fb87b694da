"""Conventions: the choices in which the published system and ours differ, recorded with the weights.

`docs/published.md` explains each. Weights trained here use the defaults.
"""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Conventions:
  """How a set of weights is used.

  Attributes:
    bn_mode: `running` normalises the video encoder's activations by running statistics; `batch` by those of each call,
      a call being one clip, as the published system does whenever it runs.
    crop: mel frames kept where the clip has more of them than the models read. `center` are those that the models are
      trained on, so that sound starts a little after the picture; `first` are those of the published generation, with
      0 (half of full scale) where the clip has fewer.
    level: what is done to the example's level before it is read, and undone in the takes. `peak` brings its loudest
      samples to half of full scale, `rms` its RMS to 0.1 (what Greatest Hits models are trained on), `as_is` nothing.
    vocoder_mel: what the vocoder reads. `as_decoded` is whatever the VQGAN gives, out of range or on another mel scale
      as it may be; `slaney` and `htk` is that, clipped to [-1, 1] and carried over to the scale named.
    detail_frames: with `sliding`, mel frames by which a take's sound is compared with the example's, to give it what
      codes do not hold of that (`sampling/detail.py`); odd and below 100, or 0 for nothing.
    mel_passes: how often the vocoder's sound is brought nearer to the mel decoded (`audio/mel_consistency.py`).
    windows: how a query longer than a clip is covered. `sliding` moves frames and codes together by half a clip. `half`
      and `last` are the published ways: codes slide column by column, the new one in the middle of its window or at the
      end of it.
    moving_condition: with `half` and `last`, the condition's window slides along with the target's; otherwise both the
      condition and the query frames stay those of the first clip, as published.
    denoise: the example's noise is removed before it is read (published for Countix-AV).
    top_k: likeliest codes that sampling keeps where the user does not say; the published system keeps half of them.
    guidance: how far sampling goes beyond what the model says with nothing given, where the user does not say; 1 is as
      trained (`Sampling.guidance`).
  """

  bn_mode: Literal["running", "batch"] = "running"
  crop: Literal["center", "first"] = "center"
  level: Literal["peak", "rms", "as_is"] = "peak"
  vocoder_mel: Literal["slaney", "htk", "as_decoded"] = "slaney"
  windows: Literal["sliding", "half", "last"] = "sliding"
  moving_condition: bool = False
  denoise: bool = False
  top_k: int = 128
  guidance: float = 1.0
  mel_passes: int = 0
  detail_frames: int = 0

  def __post_init__(self):
    for name, allowed in _ALLOWED.items():
      if getattr(self, name) not in allowed:
        raise ValueError(f"Conventions.{name} is one of {', '.join(map(str, allowed))}, not {getattr(self, name)}")
    for name in ("top_k", "mel_passes", "detail_frames"):
      value = getattr(self, name)
      if not isinstance(value, int) or value < 0:
        raise ValueError(f"Conventions.{name} is a whole number that is 0 or more, not {value}")
    if self.detail_frames and not (self.detail_frames % 2 and self.detail_frames < 100):
      raise ValueError(f"Conventions.detail_frames is odd and below 100, or 0, not {self.detail_frames}")
    if not 0 <= self.guidance < float("inf"):
      raise ValueError(f"Conventions.guidance is a number that is 0 or more, not {self.guidance}")
    if self.detail_frames and self.windows != "sliding":
      raise ValueError("Conventions.detail_frames needs windows sliding")
    if self.moving_condition and self.windows == "sliding":
      raise ValueError("Conventions.moving_condition needs windows half or last")


_ALLOWED = {
  "bn_mode": ("running", "batch"),
  "crop": ("center", "first"),
  "level": ("peak", "rms", "as_is"),
  "vocoder_mel": ("slaney", "htk", "as_decoded"),
  "windows": ("sliding", "half", "last"),
  "moving_condition": (True, False),
  "denoise": (True, False),
}

# Of sampling alone: training goes on, and its weights are worth as much, whatever they are.
SAMPLING = ("top_k", "guidance", "mel_passes", "detail_frames")
# What our own training expects.
OURS = Conventions()
# As the published system generates, bugs included.
PUBLISHED = Conventions("batch", "first", "as_is", "as_decoded", "half", top_k=512)
# The same weights used as they were trained: the video encoder has never run on its running statistics.
REPAIRED = Conventions("batch", "center", "rms", "slaney", "sliding", top_k=512)
