"""How time and memory of `condfoley generate` grow with the length of a query: 1080p, one take, the whole command."""

import os
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from data_pipelines.builders.drumstick import render

MINUTES = (3, 30)
# What the whole command may take, GB, and by how much a second of a longer query may take longer.
MEMORY_GB, GROWTH = 2.5, 0.95
_HEIGHT, _WIDTH, _FPS, _LOOP_S = 1080, 1920, 30, 10


def rows(minutes: tuple[int, int] = MINUTES) -> list[dict]:
  """Rows of `out/bench/long_query.json`."""
  with tempfile.TemporaryDirectory() as home:
    folder = Path(home)
    (example,) = render.render_videos(folder / "videos", split="test", seed=0, count=1, workers=1)
    _command(_video(folder / "warm.mp4", 60), example, folder / "warm")  # What is compiled is kept from here on.
    found = {m: _command(_video(folder / f"{m}.mp4", 60 * m), example, folder / str(m)) for m in minutes}
  (short, long), device = (found[m][0] / (60 * m) for m in minutes), f"{os.cpu_count()} CPU cores"
  memory = found[minutes[1]][1]
  row = lambda case, ours, other, against, unit, goal: {
    "case": case,
    "ours": ours,
    "other": other,
    "against": against,
    "unit": unit,
    "ratio": other / ours,
    "goal": goal,
    "device": device,
  }
  per_second = "seconds per second of video"
  return [
    row(f"{minutes[1]} min of 1080p", long, short, f"{minutes[0]} min", per_second, GROWTH),
    row(f"{minutes[1]} min of 1080p, most memory", memory, MEMORY_GB, "what it may be", "GB", 1.0),
  ]


def _command(query: Path, example: Path, out: Path) -> tuple[float, float]:
  """Seconds that it takes, and the most memory, GB."""
  words = [sys.executable, "-m", "condfoley_jax.cli", "generate", str(query), f"--example={example}", f"--out={out}"]
  begun = time.monotonic()
  process = subprocess.Popen(words)
  _, status, used = os.wait4(process.pid, 0)
  if status:
    raise RuntimeError(f"{' '.join(words)}: {os.waitstatus_to_exitcode(status)}")
  return time.monotonic() - begun, used.ru_maxrss * 1024 / 1e9


def _video(path: Path, seconds: int) -> Path:
  """Something that moves, 10 s of it encoded, again and again."""
  packets, base = [], Fraction(1, 90_000)
  with av.open(str(path), "w") as out:
    stream = out.add_stream("libx264", rate=_FPS, height=_HEIGHT, width=_WIDTH, pix_fmt="yuv420p")
    stream.options = {"preset": "ultrafast", "crf": "28", "bf": "0"}
    rng = np.random.default_rng(0)
    ground = np.kron(rng.integers(60, 120, (_HEIGHT // 40, _WIDTH // 40, 3)), np.ones((40, 40, 1))).astype(np.uint8)
    for index in range(_FPS * _LOOP_S):
      picture = ground.copy()
      left = int((_WIDTH - 200) * (0.5 + 0.5 * np.sin(2 * np.pi * index / _FPS)))
      picture[300:700, left : left + 200] = 220
      packets += stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
    packets += stream.encode(None)
    kept = [(bytes(p), p.pts * p.time_base, p.is_keyframe) for p in packets]
    for turn in range(seconds // _LOOP_S):
      for data, time_s, key in kept:
        packet = av.Packet(data)
        packet.time_base, packet.is_keyframe, packet.stream = base, key, stream
        packet.pts = packet.dts = round((time_s + turn * _LOOP_S) / base)
        out.mux(packet)
  return path
