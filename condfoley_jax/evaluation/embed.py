"""Media inside an HTML page, so that the page is one file."""

import base64
import io
import mimetypes
import os
import urllib.parse
from pathlib import Path

import numpy as np
import soundfile

FILE_BYTES = 8_000_000  # larger media are linked by a relative path
PAGE_BYTES = 32_000_000  # and so are those that would make the page heavier than a browser likes


class Media:
  """Turns media into addresses for `src`, and keeps count of what the page holds.

  Args:
    folder: where the page is written.
  """

  def __init__(self, folder: Path):
    self._folder = folder
    self._left = PAGE_BYTES

  def file(self, path: Path) -> str:
    """Data of the file at `path`, or a relative link where it is too large.

    Raises:
      FileNotFoundError: it is not there.
    """
    size = path.stat().st_size
    if size > min(FILE_BYTES, self._left):
      return self.link(path)
    self._left -= size
    return data_uri(mimetypes.guess_type(path.name)[0] or "video/mp4", path.read_bytes())

  def link(self, path: Path) -> str:
    """Address of `path` relative to the page; `./` keeps a colon in a name from reading as a scheme."""
    return "./" + urllib.parse.quote(Path(os.path.relpath(path, self._folder)).as_posix())

  def sound(self, audio_N: np.ndarray, sample_rate: int) -> str:
    """Data of mono audio in [-1, 1] as 16-bit WAV, which every browser plays to the sample."""
    buffer = io.BytesIO()
    soundfile.write(buffer, audio_N, sample_rate, format="WAV", subtype="PCM_16")
    self._left -= buffer.tell()
    return data_uri("audio/wav", buffer.getvalue())


def data_uri(mime: str, data: bytes) -> str:
  """`data` as an address that a page can hold."""
  return f"data:{mime};base64,{base64.b64encode(data).decode()}"
