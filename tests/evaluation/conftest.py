"""A browser, and a small result with real media: a query, an example and three takes of one second."""

import dataclasses
from pathlib import Path

import av
import numpy as np
import pytest

from condfoley_jax.clip import MINI
from condfoley_jax.evaluation import report

CHROMIUM = Path("/usr/bin/chromium")
SECONDS = 1.0
HOSTILE = "\"><img src=x onerror=window.stolen=1>&amp;'.mp4"


def write_query(path: Path) -> None:
  """Noise at 15 fps with no sound, h264."""
  rng = np.random.default_rng(0)
  with av.open(str(path), "w") as container:
    stream = container.add_stream("libx264", rate=MINI.fps, width=64, height=48, pix_fmt="yuv420p")
    for _ in range(round(SECONDS * MINI.fps)):
      frame = av.VideoFrame.from_ndarray(rng.integers(0, 256, (48, 64, 3), np.uint8), format="rgb24")
      container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_take(query: Path, path: Path, *, hertz: float) -> None:
  """The query's own packets with a tone."""
  tone = np.sin(2 * np.pi * hertz * np.arange(round(SECONDS * 22050)) / 22050).astype(np.float32)[None]
  with av.open(str(query)) as source, av.open(str(path), "w") as target:
    picture = target.add_stream_from_template(source.streams.video[0])
    sound = target.add_stream("aac", rate=22050, layout="mono")
    frame = av.AudioFrame.from_ndarray(0.5 * tone, format="fltp", layout="mono")
    frame.rate = 22050
    encoded = [*sound.encode(frame), *sound.encode(None)]
    for packet in source.demux(video=0):
      if packet.dts is not None:
        packet.stream = picture
        target.mux(packet)
    target.mux(encoded)


@pytest.fixture(scope="session")
def browser():
  """Debian's Chromium; sounds play without a click."""
  api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
  if not CHROMIUM.exists():
    pytest.skip(f"no browser at {CHROMIUM} (apt-get install chromium)")
  with api.sync_playwright() as playwright:
    arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
    yield chromium
    chromium.close()


@pytest.fixture(scope="session")
def result(tmp_path_factory) -> report.Result:
  folder = tmp_path_factory.mktemp("media")
  query = folder / HOSTILE
  write_query(query)
  takes = [_take(query, folder / f"{i}.mp4", number=i, rank=4 - i) for i in (1, 2, 3)]
  rng = np.random.default_rng(1)
  audio = rng.uniform(-0.1, 0.1, 22050).astype(np.float32)
  return report.Result(
    title="Like <b>this</b>",
    query=report.Clip("<script>window.stolen = 1</script>", video=query, audio=audio, mel=_mel(0), onsets_s=(0.25,)),
    examples=[report.Clip("example & more", video=takes[0].clip.video, mel=_mel(1))],
    takes=takes,
    frames=rng.integers(0, 256, (15, 48, 64, 3), np.uint8),
    frame_times_s=(np.arange(15) + 0.5) / 15,
    onset_curve=rng.uniform(0, 1, 15),
  )


@pytest.fixture
def write(result):
  """Writes a report of `result`, or of what is given, to a path."""

  def write_to(path: Path, *results: report.Result, **changes) -> str:
    fields = {"title": "A <b>title</b>", "command": "condfoley generate '<i>' --seed 7", "spec": MINI}
    fields |= {"settings": {"seed": 7, "weights": "<weights>"}, "seconds": lambda: {"sample": 1.25}}
    report.write_generation_report(path, results or (result,), **fields | changes)
    return path.read_text(encoding="utf-8")

  return write_to


@pytest.fixture
def many_takes(result) -> report.Result:
  """As `result`, with more takes than are drawn."""
  takes = [dataclasses.replace(result.takes[0], number=i, rank=i) for i in range(1, report.DRAWN_TAKES + 3)]
  return dataclasses.replace(result, takes=takes)


def _take(query: Path, path: Path, *, number: int, rank: int) -> report.Take:
  write_take(query, path, hertz=220.0 * number)
  clip = report.Clip(path.name, video=path, mel=_mel(number + 1), onsets_s=(0.25, 0.5))
  return report.Take(clip, number=number, rank=rank, seed=100 + number, sync_offset_s=-0.04, sync_confidence=2.5)


def _mel(seed: int) -> np.ndarray:
  columns = MINI.mel_frames_of(round(SECONDS * MINI.sample_rate))
  return np.random.default_rng(seed).uniform(-1, 1, (MINI.n_mels, columns)).astype(np.float32)
