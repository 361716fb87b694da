"""The page as text: every trial shows the clips it names, and nothing comes from elsewhere."""

import re

import pytest

from condfoley_jax.evaluation import embed, study, study_page
from data_pipelines.errors import InputError
from tests.evaluation.study_folder import media_of, plan_of, write_results


@pytest.fixture(scope="module")
def results(tmp_path_factory):
  folder = tmp_path_factory.mktemp("results")
  return write_results(folder, ["base", "rerank", "</script><b>", "silence"], 8)


@pytest.fixture
def write(results, tmp_path):
  """Writes the page of a study of `results` and returns its text."""

  def write_page(seed: int = 0) -> str:
    clips = study.Clips([f"c0{i}" for i in range(5)], ["c05", "c06"], [f"c0{i}" for i in range(8)])
    lists = study.make_lists(study.pairs_of(["base", "rerank", "</script><b>"], "base"), clips, seed)
    made = study_page.Study(lists, seed, "base")
    path_of = lambda folder, clip: results / folder / f"{clip}.mp4"
    study_page.write_page(made, path_of, tmp_path / "study.html", results=results)
    return (tmp_path / "study.html").read_text(encoding="utf-8")

  return write_page


@pytest.mark.parametrize("shared_bytes", [embed.SHARED_BYTES, 1000])
def test_every_trial_shows_the_files_it_names(write, results, monkeypatch, shared_bytes):
  monkeypatch.setattr(embed, "SHARED_BYTES", shared_bytes)
  page = write()
  plan, media = plan_of(page), media_of(page)
  assert ("data-parts" in page.split("<script")[0]) == (shared_bytes == 1000)
  for trial in (trial for trials in plan["lists"] for trial in trials):
    example = "oracle" if trial["kind"] == "check" else "examples"
    for folder, index in zip((example, trial["left"], trial["right"]), trial["media"], strict=True):
      assert media[index] == (results / folder / f"{trial['clip']}.mp4").read_bytes()


def test_a_study_has_a_name_of_its_own_and_is_the_same_again(write, results):
  first = write()
  assert write() == first
  assert plan_of(write(seed=1))["study"] != plan_of(first)["study"]
  changed = results / "rerank" / f"{_clip_of(first, 'rerank')}.mp4"
  before = changed.read_bytes()
  try:
    changed.write_bytes((results / "base" / "c00.mp4").read_bytes())
    assert plan_of(write())["study"] != plan_of(first)["study"]
  finally:
    changed.write_bytes(before)


def _clip_of(page: str, system: str) -> str:
  return next(t["clip"] for t in plan_of(page)["lists"][0] if system in (t["left"], t["right"]))


def test_names_are_text_and_nothing_is_fetched(write):
  page = write()
  assert "<b>" not in page and page.count("</script>") == 2
  addresses = re.findall(r'(?:src|href)="([^"]{0,5})', page)
  assert addresses and set(addresses) == {"data:"}
  assert "default-src 'none'" in page


@pytest.mark.parametrize(
  ("module", "limit", "says"),
  [
    (embed, "PAGE_BYTES", "{results}: its clips make a page of more than 40 MB; choose fewer with --clips"),
    (study_page, "PAGE_BYTES", "{results}: its clips make a page of more than 0.05 MB; choose fewer with --clips"),
    (embed, "FILE_BYTES", "{results}/</script><b>/c00.mp4: too large for a page"),
  ],
)
def test_what_is_too_large_is_refused(write, results, tmp_path, monkeypatch, module, limit, says):
  monkeypatch.setattr(module, limit, 1000 if limit == "FILE_BYTES" else 50_000)
  with pytest.raises(InputError, match=re.escape(says.format(results=results))):
    write()
  assert not any(tmp_path.iterdir())
