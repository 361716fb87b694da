"""The page as text: complete, escaped, one file, written whole. How it looks and plays: report_browser_test.py."""

import dataclasses
import html.parser
import os

import pytest

from condfoley_jax.evaluation import report

pytestmark = pytest.mark.usefixtures("plain_pictures")


class Tags(html.parser.HTMLParser):
  """Every start tag of a page with its attributes, and its text."""

  def __init__(self, page: str):
    super().__init__()
    self.tags: list[tuple[str, dict]] = []
    self.text = ""
    self.feed(page)

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))

  def handle_data(self, data):
    self.text += data

  def all(self, name: str) -> list[dict]:
    return [attributes for tag, attributes in self.tags if tag == name]


def test_the_page_holds_everything(write, tmp_path):
  page = Tags(write(tmp_path / "report.html"))
  assert len(page.all("video")) == 5 and len(page.all("audio")) == 1
  assert len(page.all("img")) == 1 + 1 + 1 + 3 * 2  # frames, own sound, example, and two lanes per take
  for wanted in ("Own sound", "Rank", "3 of 3", "-40 ms", "102", "1.25", "<weights>", "Generated sound."):
    assert wanted in page.text
  assert "condfoley generate '<i>' --seed 7" in page.text


def test_nothing_is_fetched_and_everything_is_labelled(write, tmp_path):
  page = Tags(write(tmp_path / "report.html"))
  addresses = [a[key] for _, a in page.tags for key in ("src", "srcset", "poster", "href") if key in a]
  assert addresses and all(address.startswith("data:") for address in addresses)
  assert all(image["alt"] for image in page.all("img"))
  assert all(player["aria-label"] for player in page.all("video") + page.all("audio"))
  assert page.all("html")[0]["lang"] == "en" and page.all("title")


def test_user_text_is_text(write, result, tmp_path):
  page = Tags(write(tmp_path / "report.html"))
  assert len(page.all("script")) == 1 and not page.all("b") and not any("onerror" in a for _, a in page.tags)
  assert result.query.title in page.text and "A <b>title</b>" in page.text and "Like <b>this</b>" in page.text


def test_takes_are_in_the_order_of_their_rank(write, tmp_path):
  text = Tags(write(tmp_path / "report.html")).text
  assert text.index("Take 3") < text.index("Take 2") < text.index("Take 1")


def test_takes_beyond_the_drawn_are_listed_with_links(write, many_takes, tmp_path):
  page = Tags(write(tmp_path / "report.html", many_takes))
  links = [a["href"] for a in page.all("a")]
  assert len(links) == 2 and all((tmp_path / link).exists() for link in links)
  assert len(page.all("video")) == 2 + report.DRAWN_TAKES


def test_a_silent_query_has_no_sound_of_its_own(write, result, tmp_path):
  silent = dataclasses.replace(result, query=dataclasses.replace(result.query, audio=None, mel=None, onsets_s=()))
  page = Tags(write(tmp_path / "report.html", silent))
  assert "Own sound" not in page.text and not page.all("audio")


def test_unscored_takes_and_several_results(write, result, tmp_path):
  take = dataclasses.replace(result.takes[0], sync_offset_s=None, sync_confidence=None)
  page = Tags(write(tmp_path / "report.html", dataclasses.replace(result, takes=[take]), result))
  assert "not scored" in page.text
  assert {a["href"] for a in page.all("a")} == {"#result-1", "#result-2"}


def test_the_time_axis_is_that_of_the_longest(result, write, tmp_path):
  (example,) = result.examples
  longer = dataclasses.replace(example, mel=example.mel.repeat(3, axis=1))
  page = Tags(write(tmp_path / "report.html", dataclasses.replace(result, examples=[longer])))
  assert all("0 to 3 s" in image["alt"] for image in page.all("img"))
  assert {a["data-seconds"] for _, a in page.tags if "data-seconds" in a} == {"3"}


def test_a_failed_write_leaves_the_old_page_and_nothing_else(write, tmp_path, monkeypatch):
  path = tmp_path / "report.html"
  path.write_text("old")

  def fail(*_):
    raise OSError("disk full")

  monkeypatch.setattr(os, "replace", fail)
  with pytest.raises(OSError, match="disk full"):
    write(path)
  assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_an_empty_report_is_refused(write, result, tmp_path):
  with pytest.raises(ValueError, match="at least one take"):
    write(tmp_path / "report.html", dataclasses.replace(result, takes=[]))
