"""A folder of results as small as one can be, half a second of noise per clip, a tone per system; what a page holds."""

import base64
import json
import re
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from data_pipelines import media

RATE = 22050
SECONDS = 0.4


def write_results(folder: Path, systems: Sequence[str], clips: int) -> Path:
  """Writes `systems`, oracle and examples for `clips` clips named c00, c01, ..."""
  for name in (*systems, "oracle", "examples"):
    (folder / name).mkdir(parents=True)
  for i in range(clips):
    picture = folder / f"{i}.mp4"
    write_picture(picture, seed=i)
    for k, name in enumerate((*systems, "oracle", "examples")):
      media.mux(picture, tone(200 + 150 * k + 10 * i), RATE, folder / name / f"c{i:02d}.mp4")
    picture.unlink()
  return folder


def write_picture(path: Path, *, seed: int) -> None:
  """A silent video."""
  rng = np.random.default_rng(seed)
  with av.open(str(path), "w") as container:
    stream = container.add_stream("libx264", rate=15, width=64, height=48, pix_fmt="yuv420p")
    for _ in range(round(SECONDS * 15)):
      frame = av.VideoFrame.from_ndarray(rng.integers(0, 256, (48, 64, 3), np.uint8), format="rgb24")
      container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def tone(hertz: float) -> np.ndarray:
  """float32 [N]."""
  return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(SECONDS * RATE)) / RATE)).astype(np.float32)


def plan_of(page: str) -> dict:
  """What the page's script reads."""
  return json.loads(re.search(r'<script type="application/json" id="plan">(.*?)</script>', page, re.DOTALL)[1])


def media_of(page: str) -> list[bytes]:
  """The clips, put together as the page's script does."""
  elements = re.findall(r"<video ([^>]*)></video>", page.split('<template id="media">')[1].split("</template>")[0])
  whole = {i: base64.b64decode(data) for i, data in re.findall(r'id="whole-(\d+)" src="[^,]*,([^"]*)"', page)}
  clips = []
  for attributes in elements:
    if found := re.search(r'id="whole-(\d+)"', attributes):
      clips.append(whole[found[1]])
      continue
    parts = json.loads(re.search("data-parts='([^']*)'", attributes)[1])
    parts = [base64.b64decode(p) if isinstance(p, str) else whole[str(p[0])][p[1] : p[1] + p[2]] for p in parts]
    clips.append(b"".join(parts))
  return clips
