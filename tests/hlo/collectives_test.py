"""Collectives: kinds, groups in every notation, bytes over the links."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from condfoley_jax.hlo import cost
from condfoley_jax.hlo.collectives import Collective

ROOT = Path(__file__).parents[2]
MB = 2**20


def _program(line: str) -> str:
  return f"""HloModule m, num_partitions=8

ENTRY %main (x: f32[512,512]) -> f32[512,512] {{
  %x = f32[512,512]{{1,0}} parameter(0)
  ROOT %c = f32[512,512]{{1,0}} {line}
}}
"""


@pytest.mark.parametrize(
  ("groups", "expected"),
  [
    ("replica_groups={{0,2,4,6},{1,3,5,7}}", (0, 2, 4, 6)),
    ("replica_groups=[2,4]<=[8]", (0, 1, 2, 3)),
    ("replica_groups=[2,4]<=[4,2]T(1,0)", (0, 2, 4, 6)),
    ("replica_groups=[4,2]<=[2,2,2]T(2,0,1)", (0, 2)),
    ("replica_groups=mesh['data'=4,'tensor'=2] {'data'}", (0, 2, 4, 6)),
    ("replica_groups=mesh['a'=2,'b'=2,'c'=2] {'a','c'}", (0, 1, 4, 5)),
    ("replica_groups={}", tuple(range(8))),
    ("source_target_pairs={{3,5},{5,3}}", (3, 5)),
  ],
)
def test_groups_in_every_notation(groups, expected):
  kind = "collective-permute" if "pairs" in groups else "all-reduce"
  (found,) = cost.of_text(_program(f"{kind}(%x), channel_id=1, {groups}, to_apply=%add")).collectives
  assert found == Collective(kind, expected, 1)


def test_a_send_by_way_of_the_hosts_goes_to_another_slice():
  handler = 'frontend_attributes={_xla_host_transfer_handler_name="xla_megascale_runtime"}'
  sent = _program(f"send(%x, %t), channel_id=2, is_host_transfer=true, {handler}").replace(
    "  ROOT", "  %t = token[] after-all()\n  ROOT"
  )
  assert cost.of_text(sent).by_kind() == {"between-slices": {"count": 1, "bytes": MB}}
  assert cost.of_text(sent.replace("megascale", "other")).by_kind() == {}


@pytest.mark.parametrize(
  ("kind", "sent"),
  [
    ("all-reduce", 2 * MB * 3 / 4),
    ("all-gather", 3 * MB),
    ("reduce-scatter", MB * 3 / 4),
    ("all-to-all", MB * 3 / 4),
    ("all-gather-start", 3 * MB),
  ],
)
def test_bytes_are_those_that_a_ring_sends(kind, sent):
  found = cost.of_text(_program(f"{kind}(%x), replica_groups=[2,4]<=[8]"))
  assert found.by_kind() == {kind.removesuffix("-start"): {"count": 1, "bytes": sent}}


def test_a_group_of_one_sends_nothing():
  assert cost.of_text(_program("all-reduce(%x), replica_groups=[8,1]<=[8]")).by_kind()["all-reduce"]["bytes"] == 0


def test_a_collective_that_fusions_overlap_counts_once():
  text = """HloModule m, num_partitions=4

%start (p: f32[256]) -> (f32[256], f32[1024], u32[]) {
  %p = f32[256]{0} parameter(0)
  %g = f32[1024]{0} all-gather(%p), channel_id=5, replica_groups=[1,4]<=[4], dimensions={0}
  ROOT %cc = (f32[256]{0}, f32[1024]{0}, u32[]{:S(2)}) custom-call(%g), custom_call_target="AsyncCollectiveStart"
}

%meanwhile (p.1: f32[256], q: f32[1024], s: u32[], y: f32[64]) -> (f32[64], f32[256], f32[1024], f32[1024], u32[]) {
  %p.1 = f32[256]{0} parameter(0)
  %q = f32[1024]{0} parameter(1)
  %s = u32[]{:S(2)} parameter(2)
  %y = f32[64]{0} parameter(3)
  %n = f32[64]{0} negate(%y)
  %g.1 = f32[1024]{0} all-gather(%p.1), channel_id=5, replica_groups=[1,4]<=[4], dimensions={0}
  ROOT %t = (f32[64]{0}, f32[256]{0}, f32[1024]{0}, f32[1024]{0}, u32[]{:S(2)}) tuple(%n, %p.1, %q, %g.1, %s)
}

%done (p.2: f32[256], q.2: f32[1024], s.2: u32[]) -> f32[1024] {
  %p.2 = f32[256]{0} parameter(0)
  %q.2 = f32[1024]{0} parameter(1)
  %s.2 = u32[]{:S(2)} parameter(2)
  %g.2 = f32[1024]{0} all-gather(%p.2), channel_id=5, replica_groups=[1,4]<=[4], dimensions={0}
  ROOT %cc.2 = f32[1024]{0} custom-call(%p.2, %q.2, %g.2, %s.2), custom_call_target="AsyncCollectiveDone"
}

ENTRY %main (x: f32[256], y.1: f32[64]) -> f32[1024] {
  %x = f32[256]{0} parameter(0)
  %y.1 = f32[64]{0} parameter(1)
  %a = (f32[256]{0}, f32[1024]{0}, u32[]{:S(2)}) fusion(%x), kind=kCustom, calls=%start
  %a0 = f32[256]{0} get-tuple-element(%a), index=0
  %a1 = f32[1024]{0} get-tuple-element(%a), index=1
  %a2 = u32[]{:S(2)} get-tuple-element(%a), index=2
  %b = (f32[64]{0}, f32[256]{0}, f32[1024]{0}, f32[1024]{0}, u32[]{:S(2)}) fusion(%a0, %a1, %a2, %y.1), kind=kCustom, \
calls=%meanwhile
  %b1 = f32[256]{0} get-tuple-element(%b), index=1
  %b3 = f32[1024]{0} get-tuple-element(%b), index=3
  %b4 = u32[]{:S(2)} get-tuple-element(%b), index=4
  ROOT %c = f32[1024]{0} fusion(%b1, %b3, %b4), kind=kCustom, calls=%done
}
"""
  found = cost.of_text(text)
  assert found.by_kind() == {"all-gather": {"count": 1, "bytes": 3 * 1024}}
  # The gather's operand and result, and what is negated meanwhile, in and out.
  assert found.bytes_accessed == 1024 + 4096 + 2 * 256


def test_a_slice_of_an_all_reduce_is_a_reduce_scatter():
  text = """HloModule m, num_partitions=4

%scatter (p: f32[1024]) -> f32[256] {
  %p = f32[1024]{0} parameter(0)
  %r = f32[1024]{0} all-reduce(%p), channel_id=1, replica_groups=[1,4]<=[4], to_apply=%add
  %i = s32[] constant(0)
  ROOT %d = f32[256]{0} dynamic-slice(%r, %i), dynamic_slice_sizes={256}
}

ENTRY %main (x: f32[1024]) -> f32[256] {
  %x = f32[1024]{0} parameter(0)
  ROOT %f = f32[256]{0} fusion(%x), kind=kCustom, calls=%scatter
}
"""
  assert cost.of_text(text).by_kind() == {"reduce-scatter": {"count": 1, "bytes": 4096 * 3 / 4}}


_ON_EIGHT_DEVICES = """
import json, jax, jax.numpy as jnp
from jax.sharding import PartitionSpec as P
from condfoley_jax.hlo import cost
from tests.hlo import programs
from tests.hlo.programs import array

mesh = programs.mesh(jax.devices(), data=4, tensor=2)
mapped = lambda f, spec, out=None: jax.shard_map(f, mesh=mesh, in_specs=spec, out_specs=out or spec, check_vma=False)
rows = array(512, 512, mesh=mesh, spec=P("data"))
cases = {
  "psum": (mapped(lambda x: jax.lax.psum(x, "data"), P("data")), rows),
  "gather": (mapped(lambda x: jax.lax.all_gather(x, "data", tiled=True), P("data"), P()), rows),
  "permute": (mapped(lambda x: jax.lax.ppermute(x, "data", [(i, (i + 1) % 4) for i in range(4)]), P("data")), rows),
  "exchange": (mapped(lambda x: jax.lax.all_to_all(x, "data", 1, 0, tiled=True), P("data")), rows),
  "in a loop": (
    programs.layers,
    array(64, 32, mesh=mesh, spec=P("data")),
    array(5, 32, 32, mesh=mesh, spec=P(None, "tensor", None)),
  ),
}
print(json.dumps({k: cost.of_text(programs.compiled(*v).as_text()).by_kind() for k, v in cases.items()}))
"""


def test_programs_for_eight_devices_send_what_they_must():
  environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
  command = [sys.executable, "-c", _ON_EIGHT_DEVICES]
  output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=ROOT).stdout
  found, part = json.loads(output), MB / 4
  assert found["psum"] == {"all-reduce": {"count": 1, "bytes": 2 * part * 3 / 4}}
  assert found["gather"] == {"all-gather": {"count": 1, "bytes": 3 * part}}
  assert found["permute"] == {"collective-permute": {"count": 1, "bytes": part}}
  assert found["exchange"] == {"all-to-all": {"count": 1, "bytes": part * 3 / 4}}
  # Each of five layers sums the halves of a product: 16 rows of 32 values on each device.
  assert found["in a loop"] == {"all-reduce": {"count": 5, "bytes": 5 * 16 * 32 * 4}}
