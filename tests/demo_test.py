"""`make demo`'s program: three results and one page that holds them."""

import re

from condfoley_jax import demo


def test_demo_writes_results_and_one_page(tmp_path, monkeypatch):
  monkeypatch.setattr(demo, "PAIRS", demo.PAIRS[:2])  # Each takes long.
  monkeypatch.setattr(demo, "VIDEOS", 4)
  page = demo.run(tmp_path, candidates=1)
  results = sorted(p for p in tmp_path.iterdir() if p.is_dir() and p.name != "videos")
  assert len(results) == len(demo.PAIRS)
  for result in results:
    assert (result / "soundtrack.mp4").stat().st_size > 1000
    assert (result / "takes" / "01.wav").stat().st_size > 1000
  text = page.read_text()
  headings = re.findall("<h2[^>]*>(.*?)</h2>", text)
  assert len(set(headings)) == len(headings)
  assert "Recorded" not in text and ">real<" not in text
  assert text.count("<section") >= len(demo.PAIRS)
  assert "http://" not in text.replace("http://www.w3.org", "")
