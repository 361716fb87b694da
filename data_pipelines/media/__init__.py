"""Reading and writing media files: facts, frames, samples, soundtracks. The only code that calls FFmpeg."""

from data_pipelines.media.decode import FrameReader, decode_frames
from data_pipelines.media.loudness import Loudness, measure_loudness
from data_pipelines.media.mux import FEWEST_SAMPLES, mux, require_copyable, write_wav
from data_pipelines.media.probe import MediaInfo, probe, read_tags
from data_pipelines.media.sound import decode_audio

__all__ = [
  "FEWEST_SAMPLES",
  "FrameReader",
  "Loudness",
  "MediaInfo",
  "decode_audio",
  "decode_frames",
  "measure_loudness",
  "mux",
  "probe",
  "read_tags",
  "require_copyable",
  "write_wav",
]
