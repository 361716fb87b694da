"""`python -m benchmarks.world --out DIR`: 40 clips of the procedural world to look at and listen to, and its figures.

Writes `DIR/world.html`, which holds all that it shows, and `DIR/world.json`.
"""

import argparse
import base64
import dataclasses
import html
import itertools
import json
import os
import pathlib
import string
import sys
import tempfile
import time
from collections.abc import Sequence

import cv2
import numpy as np

from benchmarks import probes, world_labels
from condfoley_jax import figures
from condfoley_jax.audio.mel import log_mel
from condfoley_jax.audio.onsets import detect_onsets
from condfoley_jax.clip import MINI
from condfoley_jax.weights import folder
from data_pipelines import media
from data_pipelines.builders.drumstick.render import render_scene
from data_pipelines.builders.drumstick.scene import VERSION, Scene, draw_scene
from data_pipelines.workers import mapped

_CLIPS, _SECONDS = 40, 4.0
_TRAIN, _TEST, _ONSETS = 340, 170, 68
_TEMPLATE = pathlib.Path(__file__).with_name("world.html")
_LAYOUT = dataclasses.replace(figures.NARROW, right=40)  # room for half of the last tick's "4 s"
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/world"))
  parser.add_argument("--real", type=pathlib.Path, nargs="*", default=[], help="real clips to compare with")
  parser.add_argument("--annotations", type=pathlib.Path, help="archive or folder of real hit records, likewise")
  parser.add_argument("--weights", type=pathlib.Path, help="weights folder with a video encoder and event head")
  arguments = parser.parse_args()
  workers = os.cpu_count() or 1
  arguments.out.mkdir(parents=True, exist_ok=True)
  found = {
    "version": VERSION,
    **_speed(),
    **_probes(workers),
    **_network(arguments.weights),
    **_contacts(arguments.real, workers),
  }
  labels = world_labels.compared(arguments.annotations) if arguments.annotations else {}
  found |= {"labels": labels} if labels else {}
  (arguments.out / "world.json").write_text(json.dumps(found, indent=1) + "\n")
  print(json.dumps(found, indent=1))
  (arguments.out / "world.html").write_text(_page(_clips(), labels, workers), encoding="utf-8")
  return 0


def _speed() -> dict[str, float]:
  """Seconds of one core for a video of 6 s at 30 frames a second, the median of 8."""
  spent = []
  for index in range(8):
    scene = _cut(draw_scene("val", 1, index), 6.0, fps=30)
    with tempfile.TemporaryDirectory() as aside:
      start = time.process_time()
      render_scene(scene, pathlib.Path(aside))
      spent.append(time.process_time() - start)
  return {"seconds_per_6_s_video": round(float(np.median(spent)), 2)}


def _probes(workers: int) -> dict[str, float]:
  train, test = probes.scenes("train", _TRAIN), probes.scenes("test", _TEST)
  with mapped(probes.change, test[:_ONSETS], workers) as changes:
    f1 = probes.threshold_f1(list(changes))
  return {
    "material_by_mean_log_mel": probes.material_accuracy(probes.mean_log_mel, train, test, workers),
    "material_by_one_frame": probes.material_accuracy(probes.small_frame, train, test, workers),
    "onset_f1_by_frame_difference": f1,
  }


def _network(weights: pathlib.Path | None) -> dict[str, float]:
  if weights is None:
    return {}
  parts = folder.load(weights, only=("video_encoder", "event_head")).components
  curves = [probes.network_curve(scene, parts) for scene in probes.scenes("test", _ONSETS)]
  return {"onset_f1_by_trained_network": probes.threshold_f1(curves)}


def _contacts(real: Sequence[pathlib.Path], workers: int) -> dict[str, dict]:
  """Quantiles of what contacts are like in the world, and the medians of real clips."""
  with mapped(probes.scene_contacts, probes.scenes("test", _ONSETS), workers) as found:
    ours = np.array(list(itertools.chain(*found)))
  rows = {"world": np.quantile(ours, _QUANTILES, axis=0).T.round(2).tolist()}
  rows |= {path.stem: np.median(_real_contacts(path), axis=0).round(2).tolist() for path in real}
  return {name: dict(zip(probes.Contact._fields, row, strict=True)) for name, row in rows.items()}


def _real_contacts(path: pathlib.Path) -> np.ndarray:
  rate, fps = 44100, float(media.probe(path).fps)
  audio = media.decode_audio(path, rate).astype(np.float64)
  levels = probes.frame_change(media.decode_frames(path, fps, 192))
  return np.array(probes.contacts(audio, rate, detect_onsets(audio, rate), levels, fps))


def _clips() -> list[Scene]:
  """Every material twice and some a third time, cut to a few seconds."""
  return [_cut(draw_scene("test", 0, index), _SECONDS) for index in range(_CLIPS)]


def _cut(scene: Scene, seconds: float, fps: int | None = None) -> Scene:
  fps = scene.fps if fps is None else type(scene.fps)(fps)
  strokes = tuple(s for s in scene.strokes if s.end_s < seconds - 0.3)
  return dataclasses.replace(scene, fps=fps, frames=round(seconds * fps), strokes=strokes)


def _page(scenes: Sequence[Scene], labels: world_labels.Rows, workers: int) -> str:
  with mapped(_section, scenes, workers) as sections:
    body = "\n".join(sections)
  return string.Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
    version=VERSION,
    count=len(scenes),
    split=scenes[0].split,
    seed=scenes[0].seed,
    seconds=f"{_SECONDS:g}",
    body=body,
    tables=world_labels.as_html(labels),
  )


def _section(scene: Scene) -> str:
  with tempfile.TemporaryDirectory() as aside:
    path = render_scene(scene, pathlib.Path(aside))
    video = path.read_bytes()
    audio = media.decode_audio(path, MINI.sample_rate)
    frames = media.decode_frames(path, MINI.fps, 96)
  onsets_s = [s.time_s for s in scene.strokes]
  wide = np.stack([cv2.resize(frame, (128, 96)) for frame in frames])
  mel = np.asarray(log_mel(audio[None], MINI)[0])
  mel = figures.mel_figure(mel, MINI, duration_s=_SECONDS, onsets_s=onsets_s, layout=_LAYOUT)
  strip = figures.onset_lane(
    wide, (np.arange(len(wide)) + 0.5) / MINI.fps, duration_s=_SECONDS, onsets_s=onsets_s, layout=_LAYOUT
  )
  thing = scene.thing
  told = f"{scene.index}: {thing.material}, {thing.shape}, {thing.length:.2f} m, {thing.reaction}"
  strokes = ", ".join(f"{s.action} {s.time_s:.3f}" for s in scene.strokes)
  return (
    f"<section><h2>{html.escape(told)}</h2>"
    f"<p>{scene.name}, {float(scene.fps):.4g} frames/s<br>{html.escape(strokes)}</p>"
    f'<video loop tabindex="0" preload="metadata" src="{_data("video/mp4", video)}"></video>'
    f'<img alt="film strip" src="{_data("image/webp", strip)}">'
    f'<img alt="mel" src="{_data("image/webp", mel)}"></section>'
  )


def _data(kind: str, content: bytes) -> str:
  return f"data:{kind};base64,{base64.b64encode(content).decode()}"


if __name__ == "__main__":
  sys.exit(main())
