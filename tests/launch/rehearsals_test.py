"""The table of rehearsals, from rows made up."""

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
}


def test_a_row_says_what_was_found_and_with_which_changes():
  text = rehearsals.table([ROW], (rehearsals.Run(ROW["config"], "v5e:16x16", ("--config.mesh.tensor=4",)),))
  wanted = "| transformer:large | v5e:16x16 | 1 x 64 x 4 | 1024 | 5.6 of 16.9 | yes | 75 | 370 | 3 | 400 / 300 / 100 |"
  assert wanted in text and "`--config.mesh.tensor=4`" in text


def test_what_is_not_known_is_left_empty():
  unknown = dict.fromkeys(("flops", "bytes_accessed", "collectives", "seconds", "bound", "examples_per_s"))
  text = rehearsals.table([ROW | unknown | {"fits": False}], ())
  assert "| 5.6 of 16.9 | no |  |  |  |  |  |  |" in text
