"""The whole sound of a scene, from its parts."""

import dataclasses

import numpy as np
from scipy import signal

from data_pipelines.builders.drumstick.acoustics import grains as grain_sounds
from data_pipelines.builders.drumstick.acoustics import noise
from data_pipelines.builders.drumstick.acoustics.background import draw_background
from data_pipelines.builders.drumstick.acoustics.body import Body, Touch, levelled, rigid_body, ring, stick_body
from data_pipelines.builders.drumstick.acoustics.contact import Stick, draw_stick, hertz_s, strike
from data_pipelines.builders.drumstick.acoustics.elastic import RIGID, draw_elastic
from data_pipelines.builders.drumstick.acoustics.grains import Resonances, draw_resonances
from data_pipelines.builders.drumstick.acoustics.room import draw_microphone, draw_room
from data_pipelines.builders.drumstick.acoustics.scrape import Profile, Slide, draw_profile
from data_pipelines.builders.drumstick.acoustics.textures import Skin, draw_skin
from data_pipelines.builders.drumstick.acoustics.thump import thump_body
from data_pipelines.builders.drumstick.motion import Tip, impact_speed, landing
from data_pipelines.builders.drumstick.scene import Scene, Stroke

_PEAK = (0.2, 0.9)
_ABOVE_DB = 20.0  # the loudest contact stands out of the background at least by this
_SLIDE, _SLIDE_BELOW = 0.4, 0.2  # a scratch's force over a strike's of unit area; what of it comes through to below
_MODES_DB = (0.0, 10.0)
_USUAL_SPEED = 1.5  # m/s


@dataclasses.dataclass(frozen=True)
class Instrument:
  """What one video's strokes are played on.

  Attributes:
    body: modes of the thing; None where it is soft or loose.
    thump: what gives way below.
    poisson, young: under the tip.
    stick, stick_body: what strikes, and its own modes; `stick_level` their amplitude.
    skin, profile, resonances: its surface.
  """

  body: Body | None
  thump: Body
  poisson: float
  young: float
  stick: Stick
  stick_body: Body
  stick_level: float
  skin: Skin
  profile: Profile
  resonances: Resonances | None


def render_sound(scene: Scene) -> np.ndarray:
  """The scene's sound, float32 [scene.samples] in [-1, 1]; sample 0 is the video's time zero."""
  things, strokes, place = scene.rng("sound").spawn(3)
  dry = sum(dry_parts(scene, draw_instrument(scene, things), strokes).values())
  wet = signal.oaconvolve(dry, draw_room(scene.thing.material, scene.sample_rate, place))[: len(dry)]
  wet = signal.sosfilt(draw_microphone(scene.sample_rate, place), wet)
  peak = np.exp(place.uniform(*np.log(_PEAK)))
  wet *= peak / max(np.abs(wet).max(), 1e-9)
  around = draw_background(scene.sample_rate, scene.samples, place)
  around *= min(1.0, peak * 10 ** (-_ABOVE_DB / 20) / np.sqrt(np.mean(around**2)))
  mixed = wet + around
  return np.clip(mixed * min(1.0, peak / np.abs(mixed).max()), -1, 1).astype(np.float32)


def draw_instrument(scene: Scene, rng: np.random.Generator) -> Instrument:
  thing, rate = scene.thing, scene.sample_rate
  stick = draw_stick(rng)
  skin = draw_skin(thing, rng)
  elastic = draw_elastic(thing.material, rng) if thing.material in RIGID else None
  poisson, young = (elastic.poisson, elastic.young) if elastic else (0.3, skin.young)
  body = None
  if elastic:
    contact_s = hertz_s(stick, young, poisson, _USUAL_SPEED)
    body = levelled(rigid_body(thing, elastic, rng, rate), contact_s, 10 ** (rng.uniform(*_MODES_DB) / 20))
  return Instrument(
    body=body,
    thump=thump_body(skin, rng, rate),
    poisson=poisson,
    young=young,
    stick=stick,
    stick_body=stick_body(stick, rng, rate),
    stick_level=10 ** (rng.uniform(-36, -14) / 20),
    skin=skin,
    profile=draw_profile(skin, thing.material, rng),
    resonances=draw_resonances(skin.grains, rng) if skin.grains else None,
  )


def dry_parts(scene: Scene, played: Instrument, rng: np.random.Generator) -> dict[str, np.ndarray]:
  """The strokes' sound without room, microphone and background, part by part, each [samples]."""
  rate, samples, tip = scene.sample_rate, scene.samples, Tip(scene)
  touches = [touch(scene, played, tip, stroke) for stroke in scene.strokes]
  speeds = [impact_speed(landing(stroke)) for stroke in scene.strokes]
  slides = [_slide(scene, played, tip, stroke) for stroke in scene.strokes if stroke.duration_s]
  # The stick is struck at its end.
  ends = [dataclasses.replace(t, spot=np.array([played.stick.length / 2, 0.0])) for t in touches]
  below = [dataclasses.replace(t, slide=_SLIDE_BELOW * t.slide) for t in touches]
  parts = {
    "thump": ring(played.thump, below, rate, samples),
    "stick": played.stick_level * ring(played.stick_body, ends, rate, samples),
    "burst": noise.bursts(played.skin, [s.time_s for s in scene.strokes], speeds, rate, samples, rng),
    "rustle": noise.rustle(played.skin, slides, rate, samples, rng),
  }
  if played.body:
    parts["modes"] = ring(played.body, touches, rate, samples)
  if played.resonances:
    parts["grains"] = _grains(scene, played, slides, rng)
  return parts


def touch(scene: Scene, played: Instrument, tip: Tip, stroke: Stroke) -> Touch:
  """The force of one stroke: its blow, and the surface's bumps while the tip slides."""
  speed = impact_speed(landing(stroke))
  contact_s = hertz_s(played.stick, played.young, played.poisson, speed)
  start, blow = strike(played.stick, stroke.time_s, contact_s, speed, scene.sample_rate)
  middle = tip.position(np.array([stroke.time_s + stroke.duration_s / 2]))[0, :2]
  spot = scene.thing.local(middle)
  if not stroke.duration_s:
    return Touch(start, blow, np.zeros(0), spot)
  slide = _slide(scene, played, tip, stroke)
  force = _SLIDE * slide.press * played.profile.force(slide.place, slide.speed)
  return Touch(start, blow, np.concatenate([np.zeros(slide.start - start), force]), spot)


def _slide(scene: Scene, played: Instrument, tip: Tip, stroke: Stroke) -> Slide:
  rate = scene.sample_rate
  first = int(np.floor(stroke.time_s * rate)) + 1
  last = min(scene.samples, int(np.ceil(stroke.end_s * rate)))
  speed = tip.slide_speed(np.arange(first, last) / rate)
  ends = scene.thing.local(tip.position(np.array([stroke.time_s, stroke.end_s]))[:, :2])[:, 0]
  place = ends[0] + np.sign(ends[1] - ends[0]) * np.cumsum(speed) / rate
  press = (0.3 + 0.7 * stroke.strength) * played.profile.catch(place)
  return Slide(first, place, speed, press)


def _grains(scene: Scene, played: Instrument, slides: list[Slide], rng: np.random.Generator) -> np.ndarray:
  rate, grains = scene.sample_rate, played.skin.grains
  events = []
  for stroke in scene.strokes:
    events += grain_sounds.strike_events(grains, stroke.time_s, landing(stroke), rng)
  for slide in slides:
    times = (slide.start + np.arange(len(slide.speed))) / rate
    events += grain_sounds.slide_events(grains, times, slide.speed, slide.press, rng)
  return grain_sounds.sound_of(grains, played.resonances, events, rate, scene.samples, rng)
