"""The page in a real browser, opened as a file: it loads, fits, plays and runs nothing of the user's."""

import dataclasses

import pytest

from condfoley_jax.evaluation import embed
from tests.evaluation.browsing import wait_until


@pytest.fixture
def show(browser, write, tmp_path):
  """Opens a report of some width; whatever the page complains about or asks the network for fails the test."""
  contexts, complaints = [], []

  def open_page(width: int, *results):
    write(tmp_path / "report.html", *results)
    context = browser.new_context(viewport={"width": width, "height": 800})
    contexts.append(context)
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: r.url.split(":")[0] in ("file", "data", "blob") or complaints.append(r.url))
    page.goto((tmp_path / "report.html").as_uri())
    wait_until(page, "[...document.querySelectorAll('audio, video')].every(player => player.readyState >= 1)")
    return page

  yield open_page
  for context in contexts:
    context.close()
  assert not complaints


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_plays_and_shows_its_pictures(show, result, width):
  page = show(width, result)
  assert page.evaluate("document.documentElement.scrollWidth") <= width
  assert page.title() == "A <b>title</b>"
  seconds = page.evaluate("[...document.querySelectorAll('audio, video')].map(player => player.duration)")
  assert len(seconds) == 6 and all(s == pytest.approx(1.0, abs=0.15) for s in seconds)
  wait_until(page, "[...document.images].every(image => image.complete)")
  assert all(page.evaluate("[...document.images].map(image => image.naturalWidth > 0)"))


@pytest.mark.usefixtures("plain_pictures")
def test_a_hostile_name_does_nothing(show):
  page = show(1280)
  assert page.evaluate("window.stolen") is None
  assert page.evaluate("document.querySelectorAll('script').length") == 1


@pytest.mark.usefixtures("plain_pictures")
def test_takes_in_parts_and_linked_media_play(show, monkeypatch):
  monkeypatch.setattr(embed, "SHARED_BYTES", 1000)
  sources = "[...document.querySelectorAll('video')].map(player => player.src.split(':')[0])"
  assert show(1280).evaluate(sources) == ["data", "blob", "blob", "blob", "blob"]
  monkeypatch.setattr(embed, "FILE_BYTES", 10)
  assert show(1280).evaluate(sources) == ["file"] * 5


@pytest.mark.usefixtures("plain_pictures")
def test_one_player_at_a_time_and_a_click_on_a_lane_seeks(show):
  page = show(1280)
  playing = "[...document.querySelectorAll('audio, video')].map(player => !player.paused)"
  for index in (0, 3):
    page.evaluate("i => document.querySelectorAll('audio, video')[i].play()", index)
  assert page.evaluate(playing).index(True) == 3 and sum(page.evaluate(playing)) == 1
  page.evaluate("document.querySelectorAll('audio, video')[3].pause()")
  lanes = page.locator(".track.best .lanes")
  box = lanes.bounding_box()
  left, plot = box["width"] * 90 / 1500, box["width"] * (1500 - 90 - 20) / 1500
  lanes.click(position={"x": left + 0.25 * plot, "y": 20})
  at = page.evaluate("document.querySelector('.track.best video').currentTime")
  assert at == pytest.approx(0.25, abs=0.02)


@pytest.mark.usefixtures("plain_pictures")
def test_the_example_starts_where_it_was_taken_from(show, result):
  later = dataclasses.replace(result, examples=[dataclasses.replace(result.examples[0], start_s=0.4)])
  page = show(1280, later)
  wait_until(page, "document.querySelectorAll('.track')[2].querySelector('video').currentTime > 0.39")


@pytest.mark.usefixtures("plain_pictures")
def test_the_keyboard_reaches_every_player(show):
  page = show(1280)
  page.evaluate(
    "() => { window.reached = new Set(); addEventListener('focusin', event => window.reached.add(event.target)) }"
  )
  for _ in range(70):
    page.keyboard.press("Tab")
  assert page.evaluate("[...document.querySelectorAll('audio, video, pre')].every(x => window.reached.has(x))")
