"""The cache holds what the frozen models make of each pair, whoever fills it, and training reads it."""

import dataclasses
import itertools
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from etils import epath
from flax import nnx

from condfoley_jax import cli
from condfoley_jax.models.keys import Keys
from condfoley_jax.stages import registry
from condfoley_jax.training import input_cache
from condfoley_jax.training.input_cache import Share
from condfoley_jax.training.train_loop import Run
from condfoley_jax.weights import folder
from configs import transformer
from data_pipelines import pipeline, side_shards
from data_pipelines.errors import InputError

SHIPPED = str(folder.SHIPPED)
FROZEN = ("vqgan", "video_encoder", "vocoder", "sync_net")


def _config(world, cache, **changes):
  config = transformer.get_config("mini,runlocal").to_dict()
  config["pretrained"] |= dict.fromkeys(FROZEN, SHIPPED)
  config["model"]["transformer"] |= {"layers": 1, "width": 32, "heads": 2}
  config["data"] |= {"train": str(world), "validation": str(world), "cache": str(cache), "cache_epochs": 2}
  return config | {"steps": 100} | changes


@pytest.fixture(scope="module", autouse=True)
def small_shards():
  with pytest.MonkeyPatch.context() as patch:
    _small(patch.setattr)
    yield


def _small(set_attribute):
  set_attribute(side_shards, "RECORDS_PER_SHARD", 6)
  set_attribute(input_cache, "_PAIRS_PER_DEVICE", 4)


ALONE = Share()


def _fill(config, share=ALONE):
  stage = registry.create(config)
  model = stage.create(Keys(0))
  return stage, model, input_cache.filled(stage, model, _pairs(config, stage), share=share, report=lambda line: None)


def _pairs(config, stage):
  return pipeline.Pairs(config["data"]["train"], stage.clip, seed=config["seed"], mode="uniform", overlap=False)


@pytest.fixture(scope="module")
def filled(world, tmp_path_factory):
  config = _config(world, tmp_path_factory.mktemp("cache"))
  return config, *_fill(config)


def _bytes(directory):
  return {p.name: p.read_bytes() for p in epath.Path(directory).iterdir()}


def test_holds_the_inputs_of_each_pair_by_its_own_key(filled):
  config, stage, model, cache = filled
  pairs = _pairs(config, stage)
  last, inputs = len(pairs) - 1, jax.jit(stage.inputs)
  for epoch, index in ((0, 0), (0, last), (1, 3)):
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(config["seed"]), epoch), index)
    expected = inputs(model, {k: v[None] for k, v in pairs(epoch, index).items()}, key)
    found = cache.read(epoch, index)
    assert found.keys() == expected.keys()
    for name, value in found.items():
      if name.endswith("codes"):
        # Rounding differs with the batch: a code on the fence may fall to the other side.
        assert np.mean(value == np.asarray(expected[name][0])) > 0.98
      else:
        np.testing.assert_allclose(value, expected[name][0], rtol=1e-3, atol=1e-4)


def test_epochs_are_other_draws(filled):
  *_, cache = filled
  first, second = (cache.read(epoch, 0) for epoch in (0, 1))
  assert all((first[name] != second[name]).any() for name in first)


@pytest.mark.slow
def test_processes_fill_it_together_and_hear_of_what_fails_in_one(filled, world, tmp_path):
  blocked = shutil.copytree(filled[0]["data"]["cache"], tmp_path / "blocked")
  unwritable = sorted(blocked.glob("*.tfrecord"))[0]  # The first process makes it, which alone saves what it compiles.
  unwritable.unlink()
  unwritable.mkdir()
  words = [f"127.0.0.1:{_free_port()}", str(world), str(blocked), str(tmp_path / "cache")]
  start = lambda index: subprocess.Popen(
    [sys.executable, "-m", "tests.training.input_cache_test", str(index), *words],
    cwd=Path(__file__).resolve().parents[2],
    env={**os.environ, "JAX_PLATFORMS": "cpu"},
    stdout=subprocess.PIPE,
    text=True,
  )
  processes = [start(index) for index in range(2)]
  told = [process.communicate(timeout=300)[0] for process in processes]
  assert [process.returncode for process in processes] == [0, 0]
  for text in told:
    (line,) = (line for line in text.splitlines() if line.startswith("InputError"))
    assert f"{unwritable}: cannot be written (" in line and "is a directory); make room or name another" in line
  assert _bytes(tmp_path / "cache") == _bytes(filled[0]["data"]["cache"])


def test_what_fails_in_another_process_fails_here(monkeypatch):
  told = []
  monkeypatch.setattr(
    input_cache, "_told_by_all", lambda message: told.append(message) or [message, "x: broken; mend it"]
  )
  for work, error in ((lambda: 1, InputError), (lambda: 1 / 0, ZeroDivisionError)):
    with pytest.raises(error, match=r"broken; mend it|division"):
      input_cache._together(Share(0, 2), work)
  assert told == ["", "another process of this run failed (ZeroDivisionError: division by zero); see what it says"]
  with monkeypatch.context() as patch, pytest.raises(input_cache.OtherFailed, match="process of this run failed"):
    patch.setattr(input_cache, "_told_by_all", lambda message: ["", told[1]])
    input_cache._together(Share(0, 2), lambda: 1)
  assert input_cache._together(ALONE, lambda: 1) == 1


def _free_port() -> int:
  with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    return s.getsockname()[1]


def _one_of_two(index, address, world, blocked, cache):
  """A process of the test above: fills a cache in which the other one fails, then one in which nothing does."""
  jax.distributed.initialize(address, num_processes=2, process_id=int(index))
  _small(setattr)
  try:
    _fill(_config(world, blocked), Share(int(index), 2))
  except InputError as e:
    print(f"InputError: {e}", flush=True)
  _fill(_config(world, cache), Share(int(index), 2))


@pytest.mark.slow
def test_goes_on_where_it_was_stopped(filled, world, tmp_path):
  shutil.copytree(filled[0]["data"]["cache"], tmp_path, dirs_exist_ok=True)
  broken, gone = sorted(tmp_path.glob("*.tfrecord"))[:2]
  kept = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir() if not p.name.startswith((broken.name, gone.name))}
  os.truncate(broken, 100)
  gone.unlink()
  _fill(_config(world, tmp_path))
  assert _bytes(tmp_path) == _bytes(filled[0]["data"]["cache"])
  assert kept == {p: p.stat().st_mtime_ns for p in kept}


@pytest.mark.parametrize(
  ("change", "words"),
  [
    ({"seed": 1}, r"its seed is not that of this run \(0 there, 1 here\)"),
    ({"dtype": "bfloat16"}, "its (arrays|dtype)"),
    ({"sound": None}, r"its sound\.gain_db"),
    ({"data": {"mode": "outside"}}, r'its data\.mode .*"uniform" there, "outside" here'),
  ],
)
def test_another_runs_cache_is_refused(filled, world, change, words):
  config = _config(world, filled[0]["data"]["cache"])
  if "data" in change:
    change = {"data": config["data"] | change["data"]}
  with pytest.raises(InputError, match=words):
    _fill(config | ({"sound": {"gain_db": (0.0, 1.0)}} if "sound" in change else change))


def test_frozen_models_of_another_config_refuse_it(filled):
  config, stage, model, _ = filled
  other = nnx.clone(model)
  other.vqgan.config = dataclasses.replace(other.vqgan.config, decoder_blocks=7)
  with pytest.raises(InputError, match=r"its vqgan\.config\.decoder_blocks is not that of this run .*7 here"):
    input_cache.filled(stage, other, _pairs(config, stage), share=ALONE, report=print)


def test_another_decoder_or_way_of_sampling_leaves_it_as_it_is(filled, world):
  config, _, model, _ = filled
  other = nnx.clone(model)
  other.vqgan.decoder.conv_out.bias[...] += 1.0
  changed = config | {"conventions": config["conventions"] | {"guidance": 1.5, "top_k": 7}}
  fill = lambda model: input_cache.filled(
    registry.create(changed), model, _pairs(config, filled[1]), share=ALONE, report=pytest.fail
  )
  fill(other)
  other.vqgan.encoder.conv_out.bias[...] += 1.0
  with pytest.raises(InputError, match=r"its vqgan\.weights"):
    fill(other)


def test_no_more_epochs_are_filled_than_the_run_reads(filled, world):
  config, stage, model, cache = filled
  batches = -(-cache.examples // config["batch_size"])  # Of an epoch; the last one may reach into the next.
  for steps, epochs in ((1, 1), (batches - 1, 1), (batches + 1, 2), (100 * batches, 9)):
    stage.config = config | {"steps": steps, "data": config["data"] | {"cache_epochs": 9}}
    assert input_cache._plan(stage, model, _pairs(config, stage)).epochs == epochs
  stage.config = config


@pytest.mark.slow
def test_batch_statistics_are_of_each_clip(filled, world):
  """The same pair gives the same features beside any other pairs."""
  config = _config(world, "unused")
  config["conventions"] |= {"bn_mode": "batch"}
  stage, pairs = registry.create(config), _pairs(config, filled[1])
  model, inputs = filled[2], jax.jit(lambda m, b, k: stage.inputs_by_pair(m, b, k))
  keys = jax.random.split(jax.random.key(0), 2)
  beside = lambda other: inputs(model, {k: np.stack([v, pairs(0, other)[k]]) for k, v in pairs(0, 0).items()}, keys)[
    "target_features"
  ][0]
  np.testing.assert_allclose(beside(1), beside(5), rtol=1e-4, atol=1e-5)
  running = filled[1].inputs_by_pair(model, {k: v[None] for k, v in pairs(0, 0).items()}, keys[:1])
  assert not np.allclose(beside(1), running["target_features"][0], rtol=1e-2, atol=1e-3)


@pytest.mark.slow
def test_training_reads_the_cache(filled, world, tmp_path):
  cache = tmp_path / "cache"
  shutil.copytree(filled[0]["data"]["cache"], cache)
  arguments = ["train", "--config", "configs/transformer.py:mini,runlocal", "--workdir", str(tmp_path / "run")]
  options = [f"--config.pretrained.{part}={SHIPPED}" for part in FROZEN]
  options += [f"--config.data.{split}={world}" for split in ("train", "validation")]
  options += [f"--config.data.cache={cache}", "--config.data.cache_epochs=2"]
  options += [f"--config.model.transformer.{size}" for size in ("layers=1", "width=32", "heads=2")]
  assert cli.main([*arguments, *options]) == 0
  shard = next(cache.glob("*.tfrecord"))
  raw = bytearray(shard.read_bytes())
  raw[len(raw) // 2] ^= 1
  shard.write_bytes(raw)
  with pytest.raises(InputError, match=f"{shard.name}: record . is damaged"):
    list(itertools.islice(pipeline.cached_batches(_open(cache), batch_size=2, seed=0), 40))


def test_a_run_with_anothers_cache_leaves_nothing(filled, world, tmp_path):
  config = _config(world, filled[0]["data"]["cache"]) | {"seed": 5}
  with pytest.raises(InputError, match="its seed is not that of this run"):
    Run(config, tmp_path / "run")
  assert not (tmp_path / "run").exists()


def _open(directory):
  return side_shards.SideShards(side_shards.read_plan(epath.Path(directory)))


def test_cached_batches_repeat_after_its_epochs(filled):
  *_, cache = filled
  batches = iter(pipeline.cached_batches(cache, batch_size=cache.examples, seed=0))
  epochs = [next(batches)["target_codes"] for _ in range(4)]
  held = [np.stack([cache.read(e, i)["target_codes"] for i in range(cache.examples)]) for e in range(2)]
  rows = lambda codes: sorted(map(bytes, codes))
  assert [rows(e) for e in epochs] == [rows(held[0]), rows(held[1])] * 2
  assert (epochs[0] != epochs[2]).any()


def test_rows_of_cached_batches_make_up_the_whole(filled):
  *_, cache = filled
  read = lambda rows: next(iter(pipeline.cached_batches(cache, batch_size=4, seed=0, rows=rows)))
  parts = [read(rows) for rows in ([0, 1], [2, 3])]
  whole = read(None)
  for name, value in whole.items():
    np.testing.assert_array_equal(np.concatenate([p[name] for p in parts]), value)


if __name__ == "__main__":
  _one_of_two(*sys.argv[1:])
