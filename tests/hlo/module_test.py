import pytest

from condfoley_jax.hlo import module

TEXT = """HloModule jit_f, is_scheduled=true, entry_computation_layout={(f32[2]{0})->(f32[2]{0}, s32[])}

FileNames
1 "a (b).py"

%region_0.1 (a.1: f32[], b.1: f32[]) -> f32[] {
  %a.1 = f32[]{:T(128)} parameter(0)
  %b.1 = f32[]{:T(128)} parameter(1)
  ROOT %add.1 = f32[]{:T(128)} add(%a.1, %b.1), metadata={op_name="jit(f)/add, calls=%nothing"}
}

ENTRY %main.2 (x.1: f32[2]) -> (f32[2], s32[]) {
  %constant.1 = s32[] constant(3)
  %x.1 = f32[2]{0} parameter(0), sharding={replicated}
  %all-reduce-start.1 = f32[2]{0} all-reduce-start(%x.1), replica_groups={{0,1},{2,3}}, to_apply=%region_0.1
  %all-reduce-done = f32[2]{0} all-reduce-done(%all-reduce-start.1)
  ROOT %tuple = (f32[2]{0:T(8,128)(2,1)}, /*index=1*/s32[]) tuple(%all-reduce-done, %constant.1)
}
"""


def test_computations_and_their_instructions():
  parsed = module.parse(TEXT)
  assert parsed.entry.name == "main.2" and set(parsed.computations) == {"region_0.1", "main.2"}
  assert parsed.entry.root.operands == ("all-reduce-done", "constant.1")
  assert len(parsed.entry.root.arrays) == 2
  start = parsed.entry.instructions["all-reduce-start.1"]
  assert start.opcode == "all-reduce-start" and start.called("to_apply") == ["region_0.1"]
  assert parsed.entry.instructions["constant.1"].argument == "3"
  assert [i.name for i in parsed.computations["region_0.1"].parameters] == ["a.1", "b.1"]
  assert [i.name for i in parsed.entry.users["x.1"]] == ["all-reduce-start.1"]


def test_text_of_something_else_is_refused():
  with pytest.raises(ValueError, match="no ENTRY"):
    module.parse("module @jit_f {\n}")
