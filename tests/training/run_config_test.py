import pytest

from condfoley_jax.training import run_config
from data_pipelines.errors import InputError

CONFIG = {"steps": 8, "seed": 0, "pretrained": {"vqgan": "out/vqgan"}, "pretrained_ids": {"vqgan": "0123"}}


@pytest.fixture
def workdir(tmp_path):
  """Of a run that has saved a step."""
  run_config.write(CONFIG, tmp_path)
  (tmp_path / "checkpoints" / "4").mkdir(parents=True)
  return tmp_path


@pytest.mark.parametrize(
  "change",
  [{}, {"steps": 9}, {"pretrained": {"vqgan": "moved/vqgan"}}, {"new": {}}, {"conventions": {"detail_frames": 7}}],
)
def test_a_run_goes_on_for_longer_and_with_what_has_moved(workdir, change):
  run_config.check(CONFIG | change, workdir)


@pytest.mark.parametrize(
  ("change", "words"),
  [
    ({"seed": 1}, "seed 0, not 1"),
    ({"pretrained_ids": {"vqgan": "4567"}}, "pretrained_ids.vqgan 0123, not 4567"),
    ({"ema": 0.9}, "ema None, not 0.9"),
    ({"conventions": {"level": "rms"}}, "conventions.level None, not rms"),
  ],
)
def test_a_run_does_not_go_on_with_another_config_or_other_frozen_weights(workdir, change, words):
  with pytest.raises(InputError, match=f"trained with {words}"):
    run_config.check(CONFIG | change, workdir)


def test_a_run_does_not_go_on_without_what_it_was_trained_with(workdir):
  with pytest.raises(InputError, match="trained with seed 0, not None"):
    run_config.check({k: v for k, v in CONFIG.items() if k != "seed"}, workdir)
  (workdir / "config.json").unlink()
  with pytest.raises(InputError, match=f"{workdir}/config.json: gone, and with it what was trained here; put it back"):
    run_config.check(CONFIG, workdir)


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
  (tmp_path / "run").touch()
  with pytest.raises(InputError, match=f"{tmp_path}/run: a file; move it away"):
    run_config.require_folders(tmp_path / "run")
  for name in ("checkpoints", "profile"):
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=f"{tmp_path}/{name}: a file; move it away"):
      run_config.require_folders(tmp_path)
    (tmp_path / name).unlink()
