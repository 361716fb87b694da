"""`make demo`'s program: three results and one page that holds them."""

import re
import subprocess
import sys

import pytest

from condfoley_jax import demo


def test_demo_writes_results_and_one_page(tmp_path, monkeypatch):
  monkeypatch.setattr(demo, "PAIRS", ((0, 1),))  # Each takes long.
  monkeypatch.setattr(demo, "VIDEOS", 2)
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


@pytest.mark.parametrize(
  ("before", "exit_code", "told"),
  [
    ("", 2, "{out}: Not a directory; choose another place"),
    ("import os; demo.run = lambda _: os.kill(os.getpid(), 2)", 130, "interrupted by SIGINT"),
  ],
)
def test_what_ends_it_is_one_line(before, exit_code, told, tmp_path):
  out = tmp_path / "file" / "demo"
  out.parent.touch()
  code = f"import sys; from condfoley_jax import demo; {before}\nsys.exit(demo.main())"
  ended = subprocess.run([sys.executable, "-c", code, f"--out={out}"], capture_output=True, text=True, check=False)
  assert (ended.returncode, ended.stdout) == (exit_code, "")
  assert ended.stderr == f"condfoley demo: {told.format(out=out / 'videos' if exit_code == 2 else out)}\n"
