"""How loud a sound is, by FFmpeg's meter of EBU R 128 (ITU-R BS.1770)."""

from fractions import Fraction
from typing import NamedTuple

import av
import av.filter.context
import numpy as np

# What the meter says of a sound in which no block of 0.4 s is above its absolute threshold.
_NOTHING_LUFS = -70.0
# It tells something every 0.1 s; what of a peak lies between samples comes a little after them.
_STEPS_S, _BLOCK_S = 0.1, 0.4


class Loudness(NamedTuple):
  """integrated_lufs: loudness of the whole, LUFS; None of what is silent or shorter than 0.4 s. true_peak: the largest
  size between samples too, to 0.001; 1 is full scale."""

  integrated_lufs: float | None
  true_peak: float


def measure_loudness(audio: np.ndarray, sample_rate: int) -> Loudness:
  """Measures a sound, a second of it at a time.

  Args:
    audio: float32 [N], N >= 1.
    sample_rate: Hz.
  """
  graph = av.filter.Graph()
  source = graph.add_abuffer(format="flt", sample_rate=sample_rate, layout="mono", time_base=Fraction(1, sample_rate))
  meter, sink = graph.add("ebur128", "peak=true:metadata=1:framelog=quiet"), graph.add("abuffersink")
  source.link_to(meter)
  meter.link_to(sink)
  graph.configure()
  told: dict[str, str] = {}
  after = np.zeros(round(2 * _STEPS_S * sample_rate), np.float32)
  for begin in range(0, len(audio), sample_rate):
    block = np.asarray(audio[begin : begin + sample_rate], np.float32)
    if begin + sample_rate >= len(audio):
      block = np.concatenate([block, after])
    frame = av.AudioFrame.from_ndarray(block[None], format="flt", layout="mono")
    frame.sample_rate, frame.time_base, frame.pts = sample_rate, Fraction(1, sample_rate), begin
    source.push(frame)
    told = _last(sink) or told
  source.push(None)
  told = _last(sink) or told
  lufs = float(told["lavfi.r128.I"])
  loud = len(audio) >= _BLOCK_S * sample_rate and lufs > _NOTHING_LUFS
  return Loudness(lufs if loud else None, float(told["lavfi.r128.true_peak"]))


def _last(sink: av.filter.context.FilterContext) -> dict[str, str]:
  """What the meter says with the last block that it lets go of."""
  told: dict[str, str] = {}
  while True:
    try:
      told = dict(sink.pull().metadata) or told
    except (av.BlockingIOError, av.EOFError):
      return told
