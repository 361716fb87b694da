"""Where a take's onsets are, for other programs: JSON, and a MIDI file with a note at each."""

import itertools
import json
from pathlib import Path

import mido
import numpy as np

from condfoley_jax.commands.generation import Take

# A tick is a millisecond: a beat is half a second by default, in any program.
_TICKS_PER_BEAT = 500
# General MIDI's snare drum, on its channel of drums; how long a note is at most, ms.
_NOTE, _CHANNEL, _LENGTH_MS = 38, 9, 50
# What of the sound after an onset tells how loud it is, s.
_STRIKE_S = 0.05
_SOFTEST_DB = -48.0


def write(stem: Path, take: Take, sample_rate: int) -> None:
  """Writes `stem`.json, {"onsets": [{"time_s", "level_db"}]}, and `stem`.mid.

  The level is the peak of the 50 ms after the onset, dB of full scale. In the MIDI file notes begin at the millisecond,
  and the loudest of the take has velocity 127.
  """
  levels_db = [_level_db(take.audio, time_s, sample_rate) for time_s in take.onsets_s]
  onsets = [
    {"time_s": round(float(time_s), 4), "level_db": round(level_db, 1)}
    for time_s, level_db in zip(take.onsets_s, levels_db, strict=True)
  ]
  stem.with_suffix(".json").write_text(json.dumps({"onsets": onsets}, indent=1) + "\n")
  _midi(take.onsets_s, levels_db).save(stem.with_suffix(".mid"))


def _level_db(audio: np.ndarray, time_s: float, sample_rate: int) -> float:
  first = round(time_s * sample_rate)
  peak = np.abs(audio[first : first + round(_STRIKE_S * sample_rate)]).max(initial=1e-6)
  return float(20 * np.log10(peak))


def _midi(onsets_s: np.ndarray, levels_db: list[float]) -> mido.MidiFile:
  """Type 0, one track."""
  loudest = max(levels_db, default=0.0)
  starts = [round(1000 * time_s) for time_s in onsets_s]
  track, now = mido.MidiTrack(), 0
  for at, after, level_db in itertools.zip_longest(starts, starts[1:], levels_db):
    velocity = max(round(127 * (1 - max(level_db - loudest, _SOFTEST_DB) / _SOFTEST_DB)), 1)
    # Its end would end the next one too.
    length = _LENGTH_MS if after is None else min(_LENGTH_MS, after - at)
    track.append(mido.Message("note_on", channel=_CHANNEL, note=_NOTE, velocity=velocity, time=at - now))
    track.append(mido.Message("note_off", channel=_CHANNEL, note=_NOTE, time=length))
    now = at + length
  return mido.MidiFile(type=0, ticks_per_beat=_TICKS_PER_BEAT, tracks=[track])
