"""The search, over rehearsals made up: what it tries and what it recommends."""

import math

import pytest

from data_pipelines.errors import InputError
from launch import rehearsal, search


def test_meshes_are_all_products():
  found = list(search.meshes(8))
  assert len(found) == 10 and all(math.prod(mesh.values()) == 8 for mesh in found)
  assert {"data": 2, "fsdp": 2, "tensor": 2} in found


@pytest.fixture
def tried(libtpu, monkeypatch):
  """Configs that were rehearsed: tensor 2, large batches and little remat are fast; 16, and no remat, do not fit."""
  seen = []

  def of(config, values, where):
    seen.append(values)
    mesh, batch, remat = values["mesh"], values["batch_size"], values["model"]["transformer"]["remat"]
    if batch % (mesh["data"] * mesh["fsdp"]):
      raise InputError("does not divide")
    rate = (10 if mesh["tensor"] == 2 else 1) * batch * {"none": 3, "dots": 2, "full": 1}[remat]
    fits = batch < 16 and remat != "none"
    seconds = {"compute": batch / rate, "hbm": 0.0, "network": 0.0}
    row = {"roofline_s": batch / rate, "seconds": seconds, "bound": "compute", "peak_share": 1.0}
    return {"fits": fits, "hbm_bytes": {"needed": 1}, "examples_per_s": rate, **row}

  monkeypatch.setattr(rehearsal, "of", of)
  return seen


def test_the_fastest_that_fits_is_recommended(tried, capsys):
  overrides = ["--config.batch_size=8", "--config.model.transformer.remat=full"]
  found = search.run("configs/transformer.py:large", overrides, "v5e:2x2")
  best = found["recommended"]
  assert (best["mesh"]["tensor"], best["batch_size"], best["remat"]) == (2, 8, "dots")
  assert "--config.model.transformer.remat=dots" in found["overrides"]
  meshes = {tuple(v["mesh"].values()) for v in tried}
  assert meshes == {tuple(m.values()) for m in search.meshes(4)}
  assert {v["batch_size"] for v in tried} == {4, 8, 16} and len(tried) == len(found["tried"])
  assert len(capsys.readouterr().err.splitlines()) == len(tried)


def test_combinations_that_do_not_go_together_are_told(tried):
  found = search.run("configs/transformer.py:large", ["--config.batch_size=2"], "v5e:2x2")
  assert any(row.get("error") == "does not divide" for row in found["tried"])


def test_where_nothing_fits_nothing_is_recommended(tried):
  found = search.run("configs/transformer.py:large", ["--config.batch_size=64"], "v5e:2x2")
  assert found["recommended"] is None and found["overrides"] is None
