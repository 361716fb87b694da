"""Media inside an HTML page, so that the page is one file.

The takes of a query are one video with different sounds: their files share every video packet, byte for byte. Where
that saves `SHARED_BYTES` the page holds such a file as parts: base64 text, or `[file, offset, length]` of a file that
the page holds whole. The page's script puts the parts together, so what plays is the file to the last byte.
"""

import base64
import io
import json
import mimetypes
import os
import urllib.parse
from pathlib import Path

import av
import numpy as np
import soundfile

FILE_BYTES = 8_000_000  # media that would add more are linked by a relative path
PAGE_BYTES = 32_000_000  # and so are those that would make the page heavier than a browser likes
SHARED_BYTES = 250_000  # below this a file is simpler whole


class Media:
  """Turns media into attributes of players, and keeps count of what the page holds.

  Args:
    folder: where the page is written.
    home: where the page and all that is in `folder` will be moved; None leaves them there.
  """

  def __init__(self, folder: Path, home: Path | None = None):
    self._folder = folder
    self._home = home or folder
    self._left = PAGE_BYTES
    self._whole: list[Path] = []
    self._packets: dict[bytes, tuple[int, int]] = {}  # where in which whole file a packet's bytes are

  def video(self, path: Path, *, start_s: float = 0.0) -> str:
    """Attributes that make a `<video>` play the file at `path` from `start_s`.

    Raises:
      FileNotFoundError: it is not there.
    """
    if path.stat().st_size > PAGE_BYTES:
      return f'src="{self.link(path)}{_fragment(start_s)}"'
    data = path.read_bytes()
    found = _packets(path, data) if len(data) >= SHARED_BYTES else []
    known = [
      (at, size, self._packets[data[at : at + size]]) for at, size in found if data[at : at + size] in self._packets
    ]
    shared = sum(size for _, size, _ in known)
    fragment = _fragment(start_s)
    added = len(data) - shared if shared >= SHARED_BYTES else len(data)
    if added > min(FILE_BYTES, self._left):
      return f'src="{self.link(path)}{fragment}"'
    self._left -= added
    if shared >= SHARED_BYTES:
      return f"data-parts='{json.dumps(_parts(data, known))}' data-fragment=\"{fragment}\""
    for at, size in found:
      self._packets.setdefault(data[at : at + size], (len(self._whole), at))
    self._whole.append(path)
    mime = mimetypes.guess_type(path.name)[0] or "video/mp4"
    return f'id="whole-{len(self._whole) - 1}" src="{data_uri(mime, data)}{fragment}"'

  def link(self, path: Path) -> str:
    """Address of `path` relative to the page; `./` keeps a colon in a name from reading as a scheme."""
    start = self._folder if path.is_relative_to(self._folder) else self._home
    return "./" + urllib.parse.quote(Path(os.path.relpath(path, start)).as_posix())

  def sound(self, audio_N: np.ndarray, sample_rate: int) -> str:
    """Attributes that make an `<audio>` play mono audio in [-1, 1]: 16-bit WAV, which every browser plays exactly."""
    buffer = io.BytesIO()
    soundfile.write(buffer, audio_N, sample_rate, format="WAV", subtype="PCM_16")
    self._left -= buffer.tell()
    return f'src="{data_uri("audio/wav", buffer.getvalue())}"'


def _fragment(start_s: float) -> str:
  """What of an address makes a video start there."""
  return f"#t={start_s:.6g}" if start_s else ""


def small_sound(audio_N: np.ndarray, sample_rate: int) -> str:
  """Mono audio in [-1, 1] as the address of an MP3, an eighth of a WAV: for pages of many sounds."""
  buffer = io.BytesIO()
  soundfile.write(buffer, audio_N, sample_rate, format="MP3")
  return data_uri("audio/mpeg", buffer.getvalue())


def data_uri(mime: str, data: bytes) -> str:
  """`data` as an address that a page can hold."""
  return f"data:{mime};base64,{_base64(data)}"


def _packets(path: Path, data: bytes) -> list[tuple[int, int]]:
  """Place and size in `data`, the bytes of `path`, of its video packets, in the order of the file."""
  with av.open(str(path)) as container:
    if not container.streams.video:
      return []
    packets = [(p.pos, p.size, bytes(p)) for p in container.demux(video=0) if p.size and p.pos is not None]
  return sorted((at, size) for at, size, content in packets if data[at : at + size] == content)


def _parts(data: bytes, known: list[tuple[int, int, tuple[int, int]]]) -> list[str | list[int]]:
  parts, done = [], 0
  for at, size, (whole, offset) in known:
    if at > done:
      parts.append(_base64(data[done:at]))
    parts.append([whole, offset, size])
    done = at + size
  return [*parts, _base64(data[done:])]


def _base64(data: bytes) -> str:
  return base64.b64encode(data).decode()
