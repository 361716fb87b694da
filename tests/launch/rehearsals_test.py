"""The table of rehearsals, from rows made up."""

import subprocess

from launch import rehearsals

ROW = {
  "config": "configs/transformer.py:large",
  "topology": "v5e:16x16",
  "mesh": {"data": 1, "fsdp": 64, "tensor": 4},
  "batch_size": 1024,
  "hbm_bytes": {"needed": 5_600_000_000, "limit": 16_900_000_000},
  "fits": True,
  "flops": 7.5e13,
  "bytes_accessed": 3.7e11,
  "collectives": {"all-reduce": {"count": 2, "bytes": 2e9}, "all-gather": {"count": 1, "bytes": 1e9}},
  "seconds": {"compute": 0.4, "hbm": 0.3, "network": 0.1},
  "bound": "compute",
  "examples_per_s": 2560.0,
  "slices": 1,
  "steps": 1000,
  "chip_hours": 71.1,
  "usd": 85.3,
}


def test_a_row_says_what_was_found_and_with_which_changes():
  text = rehearsals.table([ROW], (rehearsals.Run(ROW["config"], "v5e:16x16", ("--config.mesh.tensor=4",)),))
  wanted = "| transformer:large | v5e:16x16 | 1 x 64 x 4 | 1024 | 5.6 of 16.9 | yes | 75 | 370 | 3 | 400 / 300 / 100 |"
  assert wanted in text and "`--config.mesh.tensor=4`" in text
  assert "| compute | 2.56e+03 | 1000 | 71.1 | 85.3 |" in text


def test_several_slices_have_a_time_between_them():
  several = ROW | {"slices": 2, "seconds": ROW["seconds"] | {"slices": 0.2}}
  text = rehearsals.table([several], (rehearsals.Run(ROW["config"], "v5e:16x16", ("--x=1",), 2),))
  assert "| 2 x v5e:16x16 | 1 x 64 x 4 |" in text and "| 400 / 300 / 100 / 200 |" in text
  assert "- configs/transformer.py:large on 2 x v5e:16x16: `--x=1`" in text


def test_a_run_costs_its_steps_on_all_chips():
  run = rehearsals.Run("configs/transformer.py:large", "v5e:16x16", ("--config.steps=1000",))
  found = rehearsals.priced({"roofline_s": 0.4, "devices": 256}, run)
  hours = 1000 * 0.4 * rehearsals.costs.STEP_PER_ROOFLINE / 3600
  assert found["steps"] == 1000 and found["chip_hours"] == 256 * hours and found["usd"] == 256 * hours * 1.2
  assert rehearsals.priced({"roofline_s": None, "devices": 256}, run)["usd"] is None


def test_what_is_not_known_is_left_empty():
  unknown = dict.fromkeys(("flops", "bytes_accessed", "collectives", "seconds", "bound", "examples_per_s"))
  text = rehearsals.table([ROW | unknown | {"fits": False}], ())
  assert "| 5.6 of 16.9 | no |  |  |  |  |  |  |" in text


def test_a_folder_that_is_not_there_is_told_before_anything_is_compiled(tmp_path, capsys):
  assert rehearsals.main(["--out", str(tmp_path / "none" / "table.md")]) == 2
  assert capsys.readouterr().err == f"rehearsals: {tmp_path / 'none'}: no such folder; make it first\n"


def test_a_folder_in_the_place_of_the_file_is_told_before_anything_is_compiled(tmp_path, capsys):
  assert rehearsals.main(["--out", str(tmp_path)]) == 2
  assert capsys.readouterr().err == f"rehearsals: {tmp_path}: a folder; name a file\n"


def test_a_rehearsal_that_fails_leaves_the_table_as_it_was(tmp_path, capsys, monkeypatch):
  def failed(command, **_):
    raise subprocess.CalledProcessError(2, command)

  monkeypatch.setattr(subprocess, "run", failed)
  (tmp_path / "table.md").write_text("before")
  assert rehearsals.main(["--out", str(tmp_path / "table.md")]) == 2
  first, last = capsys.readouterr().err.splitlines()
  assert first == "configs/vqgan.py:paper on v5e:2x4"
  assert last.startswith("rehearsals: `-m launch.rehearse --config configs/vqgan.py:paper") and "failed" in last
  assert (tmp_path / "table.md").read_text() == "before"
