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
_ABOVE_DB, _LEAST_DB = 20.0, 6.0  # the loudest and the softest contact stand out of the background at least by this
_SLID_DB = (-18.0, 0.0)  # scratches over the loudest hit, at most
_BLOCK_S, _HEARD_S = 0.01, 0.06  # over which levels are taken; after a contact
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
  dry = dry_sound(scene, draw_instrument(scene, things), strokes)
  wet = signal.oaconvolve(dry, draw_room(scene.thing.material, scene.sample_rate, place))[: len(dry)]
  wet = signal.sosfilt(draw_microphone(scene.sample_rate, place), wet)
  peak = np.exp(place.uniform(*np.log(_PEAK)))
  wet *= peak / max(np.abs(wet).max(), 1e-9)
  around = draw_background(scene.sample_rate, scene.samples, place)
  most = min(peak * 10 ** (-_ABOVE_DB / 20), _softest(scene, wet) * 10 ** (-_LEAST_DB / 20))
  around *= min(1.0, most / np.sqrt(np.mean(around**2)))
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


def dry_sound(scene: Scene, played: Instrument, rng: np.random.Generator) -> np.ndarray:
  """The strokes' sound without room, microphone and background, [samples].

  Scratches are as loud as their surface makes them, but not much louder than hits of the same hand.
  """
  struck, slid = (sum(parts.values()) for parts in (struck_parts(scene, played, rng), slid_parts(scene, played, rng)))
  most = 10 ** (rng.uniform(*_SLID_DB) / 20) * _loudest(struck, scene.sample_rate)
  if any(not s.duration_s for s in scene.strokes) and (loudest := _loudest(slid, scene.sample_rate)) > most:
    slid = slid * most / loudest
  return struck + slid


def struck_parts(scene: Scene, played: Instrument, rng: np.random.Generator) -> dict[str, np.ndarray]:
  """What hits, and the blows that scratches begin with, make sound, part by part, each [samples]."""
  rate, samples, tip = scene.sample_rate, scene.samples, Tip(scene)
  blows = [strike_touch(scene, played, tip, stroke) for stroke in scene.strokes]
  # The stick is struck at its end.
  ends = [dataclasses.replace(t, spot=np.array([played.stick.length / 2, 0.0])) for t in blows]
  times, speeds = [s.time_s for s in scene.strokes], [impact_speed(landing(s)) for s in scene.strokes]
  parts = {
    "thump": ring(played.thump, blows, rate, samples),
    "stick": played.stick_level * ring(played.stick_body, ends, rate, samples),
    "burst": noise.bursts(played.skin, times, speeds, rate, samples, rng),
  }
  if played.body:
    parts["modes"] = ring(played.body, blows, rate, samples)
  if played.resonances:
    grains = played.skin.grains
    events = [e for s in scene.strokes for e in grain_sounds.strike_events(grains, s.time_s, landing(s), rng)]
    parts["grains"] = grain_sounds.sound_of(grains, played.resonances, events, rate, samples, rng)
  return parts


def slid_parts(scene: Scene, played: Instrument, rng: np.random.Generator) -> dict[str, np.ndarray]:
  """What the sliding tip of scratches makes sound, likewise."""
  rate, samples, tip = scene.sample_rate, scene.samples, Tip(scene)
  scratches = [stroke for stroke in scene.strokes if stroke.duration_s]
  slides = [_slide(scene, played, tip, stroke) for stroke in scratches]
  touches = [slide_touch(played, s, _spot(scene, tip, stroke)) for s, stroke in zip(slides, scratches, strict=True)]
  below = [dataclasses.replace(t, slide=_SLIDE_BELOW * t.slide) for t in touches]
  ends = [dataclasses.replace(t, spot=np.array([played.stick.length / 2, 0.0])) for t in touches]
  parts = {
    "thump": ring(played.thump, below, rate, samples),
    "stick": played.stick_level * ring(played.stick_body, ends, rate, samples),
    "rustle": noise.rustle(played.skin, slides, rate, samples, rng),
  }
  if played.body:
    parts["modes"] = ring(played.body, touches, rate, samples)
  if played.resonances:
    parts["grains"] = _slid_grains(scene, played, slides, rng)
  return parts


def strike_touch(scene: Scene, played: Instrument, tip: Tip, stroke: Stroke) -> Touch:
  """The blow of one stroke, at the middle of its way."""
  speed = impact_speed(landing(stroke))
  contact_s = hertz_s(played.stick, played.young, played.poisson, speed)
  start, blow = strike(played.stick, stroke.time_s, contact_s, speed, scene.sample_rate)
  return Touch(start, blow, np.zeros(0), _spot(scene, tip, stroke))


def slide_touch(played: Instrument, slide: Slide, spot: np.ndarray) -> Touch:
  """The force of the surface's bumps while the tip slides."""
  force = _SLIDE * slide.press * played.profile.force(slide.place, slide.speed)
  return Touch(slide.start, np.zeros(0), force, spot)


def _spot(scene: Scene, tip: Tip, stroke: Stroke) -> np.ndarray:
  """Middle of a stroke's way in the thing's axes, [2] m."""
  middle = tip.position(np.array([stroke.time_s + stroke.duration_s / 2]))[0, :2]
  return scene.thing.local(middle)


def _slide(scene: Scene, played: Instrument, tip: Tip, stroke: Stroke) -> Slide:
  rate = scene.sample_rate
  first = int(np.floor(stroke.time_s * rate)) + 1
  last = min(scene.samples, int(np.ceil(stroke.end_s * rate)))
  speed = tip.slide_speed(np.arange(first, last) / rate)
  ends = scene.thing.local(tip.position(np.array([stroke.time_s, stroke.end_s]))[:, :2])[:, 0]
  place = ends[0] + np.sign(ends[1] - ends[0]) * np.cumsum(speed) / rate
  press = (0.3 + 0.7 * stroke.strength) * played.profile.catch(place)
  return Slide(first, place, speed, press)


def _slid_grains(scene: Scene, played: Instrument, slides: list[Slide], rng: np.random.Generator) -> np.ndarray:
  rate, grains = scene.sample_rate, played.skin.grains
  events = []
  for slide in slides:
    times = (slide.start + np.arange(len(slide.speed))) / rate
    events += grain_sounds.slide_events(grains, times, slide.speed, slide.press, rng)
  return grain_sounds.sound_of(grains, played.resonances, events, rate, scene.samples, rng)


def _loudest(sound: np.ndarray, rate: int) -> float:
  """Level of the loudest short block of `sound` [samples]."""
  size = round(_BLOCK_S * rate)
  blocks = sound[: len(sound) // size * size].reshape(-1, size)
  return float(np.sqrt((blocks**2).mean(axis=1).max(initial=0.0)))


def _softest(scene: Scene, sound: np.ndarray) -> float:
  """Level of the contact that is heard least; of no contact, infinite."""
  rate = scene.sample_rate
  heard = (sound[(start := int(s.time_s * rate)) : start + round(_HEARD_S * rate)] for s in scene.strokes)
  return min((_loudest(part, rate) for part in heard), default=np.inf)
