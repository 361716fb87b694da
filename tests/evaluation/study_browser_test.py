"""The page of a study in a real browser, opened as a file: whole studies, reloads, keyboard, phones."""

import json
import pathlib

import pytest

from condfoley_jax import cli
from condfoley_jax.evaluation import embed
from condfoley_jax.evaluation.study import PRACTICE, TRIALS
from tests.evaluation.browsing import wait_until
from tests.evaluation.study_folder import write_results

# Clips play faster than they are; the page does not know.
FAST = """const play = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () { this.playbackRate = window.rate ?? 8; return play.call(this); };"""
NO_STORAGE = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('denied'); } });"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
  return write_results(tmp_path_factory.mktemp("results"), ["base", "rerank"], 21)


@pytest.fixture
def study(results, tmp_path):
  assert cli.main(["study", "make", str(results), "--out", str(tmp_path / "page"), "--seed", "5"]) == 0
  return tmp_path / "page" / "study.html"


@pytest.fixture
def show(browser, study):
  """Opens the page; whatever it complains about or asks the network for fails the test."""
  contexts, complaints = [], []

  def open_page(width: int = 1280, *scripts: str):
    context = browser.new_context(viewport={"width": width, "height": 800}, accept_downloads=True)
    contexts.append(context)
    page = context.new_page()
    for script in (FAST, *scripts):
      page.add_init_script(script)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: r.url.split(":")[0] in ("file", "data", "blob") or complaints.append(r.url))
    page.goto(study.as_uri())
    return page

  yield open_page
  for context in contexts:
    context.close()
  assert not complaints


def begin(page, code: str):
  page.fill("#code", code)
  page.click("#start button")


def play(page, *numbers: int):
  """Plays some of the three clips (1: example, 2: A, 3: B) to their ends."""
  for number in numbers:
    page.click(f".clip:nth-child({number}) button")
    page.wait_for_selector(f".clip:nth-child({number}) button.heard")


def trials_of(page) -> list[dict]:
  return page.evaluate("JSON.parse(document.getElementById('plan').textContent).lists[state.list]")


def pretend(page, *_: int):
  """As if all three had been played: the rest of the page is the same, and a second study need not take as long."""
  page.evaluate("for (const player of players) player.video.dispatchEvent(new Event('ended'))")


def answer(page, trial: dict, prefer, listen=play):
  """Plays and answers one trial: `prefer` takes the two systems."""
  listen(page, 1, 2, 3)
  side = "left" if prefer(trial["left"], trial["right"]) == trial["left"] else "right"
  for question in ("sync", "material"):
    page.check(f"input[name={question}][value={side}]")
  page.click("#next")


def finish(page, prefer, folder, listen=play) -> pathlib.Path:
  """Answers all that is left and saves the answers."""
  for trial in trials_of(page)[page.evaluate("state.answers.length") :]:
    answer(page, trial, prefer, listen)
  with page.expect_download() as download:
    page.click("#save")
  download.value.save_as(folder / download.value.suggested_filename)
  return folder / download.value.suggested_filename


def knowing(left: str, right: str) -> str:
  """Hears the true sound and likes `rerank`."""
  return left if left in ("oracle", "rerank") else right


@pytest.mark.slow
def test_two_whole_studies_and_their_analysis(show, tmp_path, capsys):
  page = show()
  begin(page, "1")
  careful = finish(page, knowing, tmp_path)
  page.click("#another")
  begin(page, "2")
  careless = finish(page, lambda left, right: left, tmp_path, pretend)
  assert (careful.name, careless.name) == ("answers-1.json", "answers-2.json")

  content = json.loads(careful.read_text())
  assert content["seed"] == 5 and content["reference"] == "base" and content["list"] == 1
  assert [t["number"] for t in content["trials"]] == list(range(1, TRIALS + 1))
  assert all(t["plays"] == {"example": 1, "left": 1, "right": 1} for t in content["trials"])
  assert all(0 < t["seconds"]["sync"] <= t["seconds"]["material"] < 60 for t in content["trials"])
  other = json.loads(careless.read_text())
  assert [(t["left"], t["right"]) for t in other["trials"]] == [(t["right"], t["left"]) for t in content["trials"]]

  capsys.readouterr()
  assert cli.main(["study", "analyse", str(careful), str(careless), "--out", str(tmp_path / "a")]) == 0
  assert "| rerank | base | 100.0 [78.5, 100.0] | 100.0 [78.5, 100.0] | 14 |" in capsys.readouterr().out
  numbers = json.loads((tmp_path / "a" / "results.json").read_text())
  assert numbers["participants"] == {"included": ["1"], "excluded": ["2"]} and numbers["study"] == content["study"]


def test_no_choice_before_what_it_is_about_was_played_to_the_end(show):
  page = show()
  begin(page, "a-b_c")
  able = lambda: [page.is_enabled(f"input[name={q}][value=left]") for q in ("sync", "material")]
  assert able() == [False, False] and not page.is_enabled("#next")
  play(page, 2)
  assert able() == [False, False] and page.inner_text("#sync .wait") == "First play to the end: B."
  page.evaluate("window.rate = 0.1")
  page.click(".clip:nth-child(3) button")
  page.click(".clip:nth-child(1) button")  # which breaks off B
  wait_until(page, "players[2].video.paused && !players[0].video.paused")
  assert page.evaluate("state.now.plays") == {"example": 0, "left": 1, "right": 0}
  page.evaluate("window.rate = 8")
  assert able() == [False, False]
  play(page, 3)
  assert able() == [True, False]
  play(page, 1)
  assert able() == [True, True]
  page.check("input[name=sync][value=left]")
  assert not page.is_enabled("#next")
  page.check("input[name=material][value=right]")
  page.click("#next")
  assert page.inner_text("#where") == f"Practice 2 of {PRACTICE}"
  assert able() == [False, False] and not page.is_enabled("#next")


def test_answers_survive_a_reload(show):
  page = show()
  begin(page, "3")
  answer(page, trials_of(page)[0], knowing)
  play(page, 2, 3)
  page.check("input[name=sync][value=right]")
  before = page.evaluate("JSON.stringify(state)")
  page.reload()
  wait_until(page, "document.querySelector('#where')?.innerText")
  assert page.inner_text("#where") == f"Practice 2 of {PRACTICE}"
  assert page.evaluate("JSON.stringify(state)") == before
  assert page.is_checked("input[name=sync][value=right]") and not page.is_enabled("input[name=material][value=left]")
  play(page, 1)
  page.check("input[name=material][value=left]")
  page.click("#next")
  assert page.inner_text("#where") == f"Practice 3 of {PRACTICE}"


def test_numbers_take_the_lists_in_turn(show):
  lists = show().evaluate("['1', '2', '3', '04', 'ann', 'ann', 'bob', '9'.repeat(40)].map(listOf)")
  assert lists[:4] == [0, 1, 0, 1] and lists[4] == lists[5] and set(lists) == {0, 1}


def test_where_nothing_can_be_kept_it_says_so_and_goes_on(show):
  page = show(1280, NO_STORAGE)
  begin(page, "3")
  answer(page, trials_of(page)[0], knowing)
  assert "do not reload" in page.inner_text("#problem")
  assert page.inner_text("#where") == f"Practice 2 of {PRACTICE}"


def test_keys_are_enough(show):
  page = show()
  press = page.keyboard.press
  page.focus("#code")
  page.keyboard.type("4")
  press("Enter")
  for number in (1, 2, 3):
    press("Tab")
    press("Enter")
    page.wait_for_selector(f".clip:nth-child({number}) button.heard")
  press("Tab")
  press("Space")  # A
  press("ArrowRight")  # B
  press("Tab")
  press("Space")
  press("Tab")
  assert page.evaluate("[document.activeElement.id, state.now.choices]") == [
    "next",
    {"sync": "right", "material": "left"},
  ]
  press("Enter")
  assert page.inner_text("#where") == f"Practice 2 of {PRACTICE}" == page.evaluate("document.activeElement.textContent")


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_its_clips_load(show, width):
  page = show(width)
  assert page.evaluate("document.documentElement.scrollWidth") <= width
  begin(page, "1")
  wait_until(page, "players.every((player) => player.video.readyState >= 2)")
  assert page.evaluate("document.documentElement.scrollWidth") <= width
  boxes = [page.locator(".clip").nth(i).bounding_box() for i in range(3)]
  assert boxes[1]["y"] == boxes[2]["y"] and boxes[1]["width"] == boxes[2]["width"]
  assert all(b["height"] >= 44 for b in (page.locator("button:visible").nth(i).bounding_box() for i in range(4)))


def test_clips_that_share_pictures_play(results, browser, tmp_path, monkeypatch):
  monkeypatch.setattr(embed, "SHARED_BYTES", 1000)
  assert cli.main(["study", "make", str(results), "--out", str(tmp_path), "--seed", "5"]) == 0
  page = browser.new_page()
  page.add_init_script(FAST)
  page.goto((tmp_path / "study.html").as_uri())
  assert page.evaluate("media.filter((element) => element.dataset.parts).length") > 20
  begin(page, "1")
  answer(page, trials_of(page)[0], knowing)
  page.close()


def test_a_true_clip_is_heard_and_its_silent_twin_is_not(show):
  """The peaks of the clips of a check, decoded by the browser."""
  page = show()
  begin(page, "1")
  peaks = page.evaluate("""async () => {
    const trial = plan.lists[0].find((one) => one.kind === "check");
    const peak = async (index) => {
      const sound = await new OfflineAudioContext(1, 44100, 44100).decodeAudioData(dataOf(media[index]).buffer);
      return sound.getChannelData(0).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    };
    return Object.fromEntries([[trial.left, await peak(trial.media[1])], [trial.right, await peak(trial.media[2])]]);
  }""")
  assert peaks["oracle"] > 0.3 and peaks["silence"] < 1e-3
