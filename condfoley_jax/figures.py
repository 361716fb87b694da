"""Pictures of sound and of video over time, for reports and training summaries.

Every lane (`mel_figure`, `onset_lane`) has the same plot area for the same `Layout` and the same `duration_s`, so lanes
put under each other share their time axis. Mel pictures share one colour scale, `DB_RANGE`.
"""

import dataclasses
import io
from collections.abc import Sequence

import cv2
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from condfoley_jax.audio.compiled import librosa
from condfoley_jax.clip import ClipSpec

COLOUR_MAP = "magma"
DB_RANGE = (-80.0, 20.0)  # what mel -1 and +1 stand for
_BACKGROUND, _PANEL, _INK = "#12151b", "#0b0d11", "#aeb6c2"
_ONSET, _CURVE = "#4fe0c8", "#ffb454"
_DPI = 100
_KHZ_TICKS = (0.5, 1, 2, 4, 8, 16)


@dataclasses.dataclass(frozen=True)
class Layout:
  """Pixels of a lane: its width, the margins beside the plot area, the text and the height of one row."""

  width: int
  left: int
  right: int
  text: int
  row: int
  max_time_ticks: int

  @property
  def bottom(self) -> int:
    """Room for the numbers of the time axis, px."""
    return round(2.1 * self.text)


WIDE = Layout(width=1500, left=90, right=20, text=18, row=210, max_time_ticks=12)
NARROW = Layout(width=760, left=104, right=16, text=24, row=210, max_time_ticks=6)


def mel_figure(
  mel_FxM: np.ndarray,
  spec: ClipSpec,
  *,
  duration_s: float,
  step: int = 1,
  onsets_s: Sequence[float] = (),
  layout: Layout = WIDE,
) -> bytes:
  """Spectrogram with its axes in seconds and kHz, as WebP.

  Args:
    mel_FxM: float [F, M] in [-1, 1], lowest bin first.
    spec: what gives the mel its hop and its band edges.
    duration_s: right end of the time axis, s; may be longer than the mel.
    step: mel frames that a column stands for.
    onsets_s: times to mark at the upper edge, s.
    layout: pixels.

  Raises:
    ValueError: the mel has not `spec.n_mels` rows or no columns.
  """
  figure, (axes,) = _lanes(layout, duration_s, heights=(layout.row,))
  _draw_mel(axes, mel_FxM, spec, step)
  axes.set_ylabel("kHz")
  above_the_top = axes.get_xaxis_transform()
  axes.plot(onsets_s, np.full(len(onsets_s), 0.965), "v", color=_ONSET, markersize=9, transform=above_the_top)
  return _webp(figure)


def onset_lane(
  frames_TxHxWx3: np.ndarray,
  times_s: np.ndarray,
  *,
  duration_s: float,
  onsets_s: Sequence[float] = (),
  curve_T: np.ndarray | None = None,
  curve_times_s: np.ndarray | None = None,
  layout: Layout = WIDE,
) -> bytes:
  """Film strip of a video over time, with the onsets of a sound across it, as WebP.

  Args:
    frames_TxHxWx3: uint8 [T, H, W, 3] RGB.
    times_s: [T] middle of each frame, s, rising.
    duration_s: right end of the time axis, s.
    onsets_s: onsets of the sound, s.
    curve_T: [T'] in [0, 1], chance of an onset that the model sees, drawn under the strip.
    curve_times_s: [T'] its times, s; by default those of the frames.
    layout: pixels.

  Raises:
    ValueError: there are no frames, times are not one per frame, or those of the curve not one per value.
  """
  curve_times_s = times_s if curve_times_s is None else curve_times_s
  _check_frames(frames_TxHxWx3, times_s)
  if curve_T is not None and len(curve_T) != len(curve_times_s):
    raise ValueError(f"a curve of {len(curve_T)} values at {len(curve_times_s)} times")
  rows = (layout.row // 2, layout.row // 4) if len(onsets_s) or curve_T is not None else (layout.row // 2,)
  figure, (strip, *below) = _lanes(layout, duration_s, heights=rows)
  end_s = min(end_of(times_s), duration_s)
  width = round((layout.width - layout.left - layout.right) * end_s / duration_s)
  picture = film_strip(frames_TxHxWx3, times_s, end_s=end_s, width=width, height=rows[0])
  strip.imshow(picture, extent=(0, end_s, 0, 1), aspect="auto")
  strip.set_yticks([])
  strip.vlines(onsets_s, 0, 1, color=_ONSET, linewidth=1.2, alpha=0.75)
  for axes in below:
    _draw_onsets(axes, onsets_s, curve_times_s, curve_T)
  return _webp(figure)


def film_strip(frames_TxHxWx3: np.ndarray, times_s: np.ndarray, *, end_s: float, width: int, height: int) -> np.ndarray:
  """Frames side by side, each the one shown in the middle of its stretch of time, uint8 [height, width, 3].

  There are as many as keep the aspect ratio of the frames within half a frame over the whole width.
  """
  aspect = frames_TxHxWx3.shape[2] / frames_TxHxWx3.shape[1]
  count = max(1, round(width / (height * aspect)))
  edges = np.linspace(0, width, count + 1).round().astype(int)
  middles_s = (np.arange(count) + 0.5) * end_s / count
  nearest = np.abs(np.asarray(times_s)[None] - middles_s[:, None]).argmin(axis=1)
  sizes = zip(nearest, np.maximum(np.diff(edges), 1), strict=True)
  cells = [cv2.resize(frames_TxHxWx3[i], (int(w), height), interpolation=cv2.INTER_AREA) for i, w in sizes]
  return np.concatenate(cells, axis=1)


def poster(frame_HxWx3: np.ndarray) -> bytes:
  """One frame (uint8 RGB) as WebP, to stand in for a video that has not been played."""
  _, encoded = cv2.imencode(".webp", frame_HxWx3[..., ::-1], (cv2.IMWRITE_WEBP_QUALITY, 80))
  return encoded.tobytes()


def spectrogram_grid(mels: Sequence[np.ndarray], titles: Sequence[str], *, columns: int = 4) -> np.ndarray:
  """Spectrograms side by side on one colour scale, uint8 [H, W, 3], for a training summary.

  Args:
    mels: float [F, M] each, in [-1, 1], lowest bin first.
    titles: one per mel.
    columns: mels per row.

  Raises:
    ValueError: there is no mel, or not one title per mel.
  """
  if not mels or len(mels) != len(titles):
    raise ValueError(f"{len(mels)} mels with {len(titles)} titles: give at least one mel, and a title for each")
  columns = min(columns, len(mels))
  rows = -(-len(mels) // columns)
  figure = Figure(figsize=(2.8 * columns, 1.7 * rows), dpi=_DPI, facecolor=_BACKGROUND, layout="constrained")
  for i, (mel, title) in enumerate(zip(mels, titles, strict=True)):
    axes = figure.add_subplot(rows, columns, i + 1, facecolor=_PANEL)
    axes.imshow(mel, **_mel_style())
    axes.set_title(title, color=_INK, fontsize=8, parse_math=False)
    axes.set_axis_off()
  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def mel_seconds(columns: int, spec: ClipSpec) -> tuple[float, float]:
  """Start and end in time of `columns` mel frames, s: `center` padding puts the middle of frame 0 at 0."""
  start = -0.5 if spec.mel_padding == "center" else 0.0
  hop_s = spec.hop / spec.sample_rate
  return start * hop_s, (start + columns) * hop_s


def _lanes(layout: Layout, duration_s: float, heights: tuple[int, ...]) -> tuple[Figure, list[Axes]]:
  """Figure with rows of `heights` px from top to bottom over one time axis."""
  gap, top = 4, 8
  total = top + sum(heights) + gap * (len(heights) - 1) + layout.bottom
  figure = Figure(figsize=(layout.width / _DPI, total / _DPI), dpi=_DPI, facecolor=_BACKGROUND)
  plot_width = (layout.width - layout.left - layout.right) / layout.width
  all_axes, y = [], total - top
  for height in heights:
    y -= height
    axes = figure.add_axes((layout.left / layout.width, y / total, plot_width, height / total), facecolor=_PANEL)
    _style(axes, layout, labelled=len(all_axes) == len(heights) - 1)
    axes.set_xlim(0, duration_s)
    axes.set_autoscale_on(False)
    all_axes.append(axes)
    y -= gap
  return figure, all_axes


def _style(axes: Axes, layout: Layout, *, labelled: bool) -> None:
  points = layout.text * 72 / _DPI
  axes.tick_params(colors=_INK, labelsize=points, length=5, labelbottom=labelled, bottom=labelled)
  axes.yaxis.label.set(color=_INK, fontsize=points)
  axes.xaxis.set_major_locator(MaxNLocator(layout.max_time_ticks, steps=(1, 2, 5, 10)))
  axes.xaxis.set_major_formatter(lambda seconds, _: f"{seconds:.4g} s")
  for spine in axes.spines.values():
    spine.set_visible(False)


def _draw_onsets(axes: Axes, onsets_s: Sequence[float], times_s: np.ndarray, curve_T: np.ndarray | None) -> None:
  axes.set(yticks=[], ylim=(0, 1.08))
  axes.set_ylabel("onsets", rotation=0, ha="right", va="center", labelpad=8)
  if curve_T is not None:
    axes.fill_between(times_s, curve_T, color=_CURVE, alpha=0.35, linewidth=0)
    axes.plot(times_s, curve_T, color=_CURVE, linewidth=1.5)
  axes.vlines(onsets_s, 0, 1.08, color=_ONSET, linewidth=2.4)


def _draw_mel(axes: Axes, mel_FxM: np.ndarray, spec: ClipSpec, step: int) -> None:
  if mel_FxM.ndim != 2 or mel_FxM.shape[0] != spec.n_mels or not mel_FxM.shape[1]:
    raise ValueError(f"a mel of shape {mel_FxM.shape} is not [{spec.n_mels}, M]")
  start_s, end_s = mel_seconds(mel_FxM.shape[1] * step, spec)
  axes.imshow(mel_FxM, extent=(start_s, end_s, -0.5, spec.n_mels - 0.5), **_mel_style())
  axes.set_ylim(-0.5, spec.n_mels - 0.5)
  shown = [khz for khz in _KHZ_TICKS if spec.fmin <= 1000 * khz <= spec.fmax]
  axes.set_yticks([_mel_bin(1000 * khz, spec) for khz in shown], labels=[f"{khz:g}" for khz in shown])


def _mel_style() -> dict:
  return {
    "origin": "lower", "aspect": "auto", "cmap": COLOUR_MAP, "vmin": -1, "vmax": 1, "interpolation": "antialiased",
  }  # fmt: skip


def _mel_bin(hz: float, spec: ClipSpec) -> float:
  """Position of a frequency on the axis of mel bins; bin i is centred on point i + 1 of n_mels + 2."""
  low, at, high = librosa().hz_to_mel([spec.fmin, hz, spec.fmax], htk=spec.mel_scale == "htk")
  return float((at - low) / (high - low) * (spec.n_mels + 1) - 1)


def end_of(times_s: np.ndarray) -> float:
  """End of the last frame, s, when frames are as long as the first step between two of them."""
  return float(times_s[-1] + (times_s[1] - times_s[0]) / 2) if len(times_s) > 1 else float(2 * times_s[-1])


def _check_frames(frames_TxHxWx3: np.ndarray, times_s: np.ndarray) -> None:
  lengths = {len(frames_TxHxWx3), len(times_s)}
  if len(lengths) != 1 or 0 in lengths:
    raise ValueError(f"frames and times must be of one length and not empty, not of {sorted(lengths)}")


def _webp(figure: Figure) -> bytes:
  buffer = io.BytesIO()
  FigureCanvasAgg(figure)
  figure.savefig(buffer, format="webp", facecolor=_BACKGROUND, pil_kwargs={"quality": 82})
  return buffer.getvalue()


def colour_stops(count: int = 9) -> list[str]:
  """The colour map from quiet to loud as hex colours, for a legend outside the pictures."""
  return [matplotlib.colors.to_hex(c) for c in matplotlib.colormaps[COLOUR_MAP](np.linspace(0, 1, count))]
