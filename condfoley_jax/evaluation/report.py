"""The page that shows what was generated: players and pictures in one HTML file that needs no network."""

import base64
import dataclasses
import functools
import hashlib
import html
import importlib.resources
import os
import re
import string
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import condfoley_jax
from condfoley_jax import figures
from condfoley_jax.clip import ClipSpec
from condfoley_jax.evaluation import embed

DRAWN_TAKES = 6  # per result; the takes ranked below them are listed in a table with links
_TOLD_ONSETS = 60  # the times of as many are read out to those who do not see the picture


@dataclasses.dataclass(frozen=True)
class Clip:
  """One piece of video or sound on the page's time axis.

  Attributes:
    title: what to call it; any text.
    video: file to play, or None where there is only sound.
    audio: float32 mono [N] in [-1, 1] to play where there is no video (for a query: its own sound), or None.
    sample_rate: of `audio`, Hz.
    mel: float32 [F, M] in [-1, 1] to draw, or None.
    mel_step: mel frames that a column of it stands for.
    onsets_s: onsets of the sound, s.
    start_s: time in `video` that is 0 on the axis, s.
  """

  title: str
  video: Path | None = None
  audio: np.ndarray | None = None
  sample_rate: int = 22050
  mel: np.ndarray | None = None
  mel_step: int = 1
  onsets_s: Sequence[float] = ()
  start_s: float = 0.0


@dataclasses.dataclass(frozen=True)
class Take:
  """A generated soundtrack. `number` names it among its siblings, `rank` is 1 for the best; `loudness` is text."""

  clip: Clip
  number: int
  rank: int
  seed: int
  sync_offset_s: float | None = None
  sync_confidence: float | None = None
  loudness: str | None = None


@dataclasses.dataclass(frozen=True)
class Result:
  """A query, the examples that it was to sound like, and its takes.

  Attributes:
    title: heading.
    query: its `audio`, `mel` and `onsets_s` are those of its own sound, where it has one.
    examples: what the query was to sound like.
    takes: in any order.
    frames: uint8 [T, H, W, 3] RGB of the query, in their own aspect ratio.
    frame_times_s: [T] middle of each frame, s.
    onset_curve: [T'] in [0, 1], the chance of an onset that the model saw, or None.
    curve_times_s: [T'] its times, s; those of the frames by default.
  """

  title: str
  query: Clip
  examples: Sequence[Clip]
  takes: Sequence[Take]
  frames: np.ndarray
  frame_times_s: np.ndarray
  onset_curve: np.ndarray | None = None
  curve_times_s: np.ndarray | None = None


def write_generation_report(
  path: Path,
  results: Sequence[Result],
  *,
  spec: ClipSpec,
  title: str,
  command: str,
  settings: dict,
  seconds: Callable[[], dict[str, float]],
  home: Path | None = None,
) -> None:
  """Writes the page for `results` to `path`, whole or not at all.

  Media are in the page, up to `embed.FILE_BYTES` each and `embed.PAGE_BYTES` in all; others are linked by a path
  relative to the page.

  Args:
    path: the HTML file; its folder exists.
    results: one section each.
    spec: the grid of every mel.
    title: heading and title of the page.
    command: what the user would type to repeat the results.
    settings: name to value: seed, weights' id and every other setting.
    seconds: gives stage to wall-clock seconds; called when all the rest is drawn, which takes some of them.
    home: folder where the page and all that is beside it will be moved; None leaves them there.

  Raises:
    ValueError: there are no results, a result has no takes, or an array has another shape than documented.
    FileNotFoundError: a clip's video is not there.
  """
  if not results or not all(result.takes for result in results):
    raise ValueError("a report needs at least one result, and each result at least one take")
  template = importlib.resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8")
  media = embed.Media(path.parent, home)
  has_curve = any(result.onset_curve is not None for result in results)
  page = string.Template(template).substitute(
    title=html.escape(title),
    script_sha256=_script_hash(template),
    colour_stops=", ".join(figures.colour_stops()),
    wide_left=_percent(figures.WIDE.left, figures.WIDE),
    wide_right=_percent(figures.WIDE.right, figures.WIDE),
    narrow_left=_percent(figures.NARROW.left, figures.NARROW),
    narrow_right=_percent(figures.NARROW.right, figures.NARROW),
    jump=_jump(results),
    curve_key='<li><i class="curve"></i> onset expected from the picture</li>' if has_curve else "",
    results="\n".join(_result(i, result, spec, media) for i, result in enumerate(results, 1)),
    command=html.escape(command),
    settings=_table("Settings", settings.items()),
    seconds=_table("Seconds per stage", [(stage, f"{s:.2f}") for stage, s in seconds().items()]),
    version=html.escape(condfoley_jax.__version__),
  )
  _write(path, page)


def _result(number: int, result: Result, spec: ClipSpec, media: embed.Media) -> str:
  duration_s = _duration(result, spec)
  takes = sorted(result.takes, key=lambda take: take.rank)
  tracks = [_query(result, duration_s, media), _own_sound(result, spec, duration_s, media)]
  tracks += [_example(i, result, spec, duration_s, media) for i in range(len(result.examples))]
  tracks += [_take(take, result, spec, duration_s, media) for take in takes[:DRAWN_TAKES]]
  return (
    f'<section aria-labelledby="result-{number}"><h2 id="result-{number}">{html.escape(result.title)}</h2>\n'
    f'<ol class="tracks">{"".join(tracks)}</ol>{_more_takes(takes[DRAWN_TAKES:], media)}</section>'
  )


def _query(result: Result, duration_s: float, media: embed.Media) -> str:
  player = _player(result.query, media, label="Query video, silent", muted=True, poster=result.frames[0])
  lanes = [_strip("Frames of the query video", result, (), duration_s)]
  return _track("Query", result.query.title, "played without its sound", player, lanes, result.query, duration_s)


def _own_sound(result: Result, spec: ClipSpec, duration_s: float, media: embed.Media) -> str:
  """The query's own sound, as a track beside those of the takes; nothing where it has none."""
  clip = dataclasses.replace(result.query, video=None, start_s=0.0)
  if clip.audio is None and clip.mel is None:
    return ""
  player = _player(clip, media, label="Own sound of the query")
  lanes = [_mel("Spectrogram of the query's own sound", clip, spec, duration_s)]
  return _track("Own sound", "what the query sounds like by itself", "original", player, lanes, clip, duration_s)


def _example(index: int, result: Result, spec: ClipSpec, duration_s: float, media: embed.Media) -> str:
  clip = result.examples[index]
  name = "Example" if len(result.examples) == 1 else f"Example {index + 1}"
  player = _player(clip, media, label=f"{name} with its sound")
  lanes = [_mel(f"Spectrogram of the {name[0].lower()}{name[1:]}", clip, spec, duration_s)]
  return _track(name, clip.title, "original", player, lanes, clip, duration_s)


def _take(take: Take, result: Result, spec: ClipSpec, duration_s: float, media: embed.Media) -> str:
  name = f"Take {take.number}"
  player = _player(take.clip, media, label=f"{name}, rank {take.rank}, generated sound", poster=result.frames[0])
  lanes = [
    _strip(f"Frames of the query and onsets of {name}", result, take.clip.onsets_s, duration_s),
    _mel(f"Spectrogram of {name}", take.clip, spec, duration_s),
  ]
  badge = "best of the takes" if take.rank == 1 and len(result.takes) > 1 else "generated"
  facts = [("Rank", f"{take.rank} of {len(result.takes)}"), *_score(take), ("Seed", str(take.seed))]
  facts.append(("Onsets", str(len(take.clip.onsets_s))))
  facts += [("Loudness", take.loudness)] if take.loudness else []
  return _track(
    name, take.clip.title, badge, player, lanes, take.clip, duration_s, facts=facts, best=take.rank == 1
  )  # fmt: skip


def _score(take: Take) -> list[tuple[str, str]]:
  offset = [] if take.sync_offset_s is None else [("Sync offset", f"{1000 * take.sync_offset_s:+.0f} ms")]
  confidence = [] if take.sync_confidence is None else [("Sync confidence", f"{take.sync_confidence:.3g}")]
  return offset + confidence or [("Score", "not scored")]


def _more_takes(takes: Sequence[Take], media: embed.Media) -> str:
  """Table of the takes that are not drawn."""
  if not takes:
    return ""
  rows = "".join(
    f"<tr><td>{take.rank}</td><td>{_take_link(take, media)}</td>"
    f"<td>{', '.join(f'{key.lower()} {html.escape(value)}' for key, value in _score(take))}</td>"
    f"<td>{take.seed}</td><td>{len(take.clip.onsets_s)}</td></tr>"
    for take in takes
  )
  head = "".join(f'<th scope="col">{name}</th>' for name in ("Rank", "Take", "Score", "Seed", "Onsets"))
  return f"<table><caption>Other takes</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _take_link(take: Take, media: embed.Media) -> str:
  name = f"Take {take.number}"
  return f'<a href="{html.escape(media.link(take.clip.video))}">{name}</a>' if take.clip.video else name


def _track(
  name: str, title: str, badge: str, player: str, lanes: Sequence[str], clip: Clip, duration_s: float,
  *, facts: Sequence[tuple[str, str]] = (), best: bool = False,
) -> str:  # fmt: skip
  """One row: its name, player and numbers on the left, its lanes on the right (below on a phone)."""
  numbers = "".join(f"<div><dt>{html.escape(key)}</dt><dd>{html.escape(value)}</dd></div>" for key, value in facts)
  return (
    f'<li class="track{" best" * best}"><div><header><h3>{html.escape(name)}</h3>'
    f'<span class="badge">{html.escape(badge)}</span></header><div class="note">{html.escape(title)}</div>{player}'
    + (f'<dl class="facts">{numbers}</dl>' if numbers else "")
    + f'</div><div class="lanes" data-seconds="{duration_s:.6g}" data-start="{clip.start_s:.6g}">'
    + "".join(lanes)
    + "</div></li>"
  )


def _player(
  clip: Clip, media: embed.Media, *, label: str, muted: bool = False, poster: np.ndarray | None = None
) -> str:
  label = html.escape(label)
  if clip.video is not None:
    attributes = 'controls playsinline preload="metadata"' + " muted" * muted
    if poster is not None:
      attributes += ' poster="' + embed.data_uri("image/webp", figures.poster(poster)) + '"'
    return f'<video {attributes} {media.video(clip.video, start_s=clip.start_s)} aria-label="{label}"></video>'
  if clip.audio is not None:
    return (
      f'<audio controls preload="metadata" {media.sound(clip.audio, clip.sample_rate)} aria-label="{label}"></audio>'
    )
  return ""


def _mel(alt: str, clip: Clip, spec: ClipSpec, duration_s: float) -> str:
  if clip.mel is None:
    return ""
  draw = functools.partial(
    figures.mel_figure, clip.mel, spec, duration_s=duration_s, step=clip.mel_step, onsets_s=clip.onsets_s
  )
  return _picture(f"{alt}, 0 to {duration_s:.3g} s, {spec.fmin / 1000:g} to {spec.fmax / 1000:g} kHz", draw)


def _strip(alt: str, result: Result, onsets_s: Sequence[float], duration_s: float) -> str:
  draw = functools.partial(
    figures.onset_lane, result.frames, result.frame_times_s, duration_s=duration_s, onsets_s=onsets_s,
    curve_T=result.onset_curve, curve_times_s=result.curve_times_s,
  )  # fmt: skip
  heard = f"; onsets at {', '.join(f'{t:.2f}' for t in onsets_s)} s" if len(onsets_s) else ""
  if len(onsets_s) > _TOLD_ONSETS:
    heard = f"; {len(onsets_s)} onsets"
  return _picture(f"{alt}, 0 to {duration_s:.3g} s{heard}", draw)


def _picture(alt: str, draw: Callable[..., bytes]) -> str:
  """The same picture for a wide and a narrow screen: text inside a picture does not scale with the page."""
  wide, narrow = (embed.data_uri("image/webp", draw(layout=layout)) for layout in (figures.WIDE, figures.NARROW))
  return (
    f'<picture><source media="(max-width: 760px)" srcset="{narrow}">'
    f'<img src="{wide}" alt="{html.escape(alt)}"></picture>'
  )


def _duration(result: Result, spec: ClipSpec) -> float:
  """Length of the time axis: that of the longest thing drawn on it, s."""
  clips = [result.query, *result.examples, *(take.clip for take in result.takes)]
  sounds = [figures.mel_seconds(clip.mel.shape[1] * clip.mel_step, spec)[1] for clip in clips if clip.mel is not None]
  return max([figures.end_of(result.frame_times_s), *sounds])


def _jump(results: Sequence[Result]) -> str:
  if len(results) == 1:
    return ""
  items = "".join(f'<li><a href="#result-{i}">{html.escape(r.title)}</a></li>' for i, r in enumerate(results, 1))
  return f'<nav aria-label="Results"><ul class="jump">{items}</ul></nav>'


def _table(caption: str, rows) -> str:
  body = "".join(f'<tr><th scope="row">{html.escape(str(k))}</th><td>{html.escape(str(v))}</td></tr>' for k, v in rows)
  return f"<table><caption>{caption}</caption><tbody>{body}</tbody></table>"


def _percent(pixels: int, layout: figures.Layout) -> str:
  return f"{100 * pixels / layout.width:.4f}%"


def _script_hash(template: str) -> str:
  """What the page's content security policy admits: its own script and no other."""
  (script,) = re.findall(r"<script>(.*?)</script>", template, re.DOTALL)
  return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _write(path: Path, text: str) -> None:
  aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
  try:
    aside.write_text(text, encoding="utf-8", newline="\n")
    os.replace(aside, path)
  finally:
    aside.unlink(missing_ok=True)
