"""Bytes moved: what a program must read and write, no more where only a part of an array is touched."""

import jax
import jax.numpy as jnp
import pytest

from condfoley_jax.hlo import cost
from tests.hlo import programs
from tests.hlo.programs import array

MB = 2**20


@pytest.mark.parametrize(
  ("function", "arguments", "expected"),
  [
    (jnp.matmul, (array(64, 32), array(32, 128)), 4 * (64 * 32 + 32 * 128 + 64 * 128)),
    # Fused: what is between is never written.
    (lambda x: jnp.exp(x) * 2 + x, (array(256, 256),), 4 * 2 * 256 * 256),
    (lambda x: x[100:110] * 2, (array(1000, 64),), 4 * 2 * 10 * 64),
  ],
)
def test_operands_and_results_count_once(function, arguments, expected):
  program = programs.compiled(function, *arguments)
  assert cost.of_text(program.as_text()).bytes_accessed == expected
  assert program.cost_analysis()["bytes accessed"] == expected


def test_a_loop_reads_each_layer_once_and_not_the_stack_at_every_turn():
  layers, width = 16, 128
  program = programs.compiled(programs.layers, array(8, width), array(layers, width, width))
  stack = 4 * layers * width * width
  assert stack < cost.of_text(program.as_text()).bytes_accessed < 4 * stack


def test_a_part_written_in_place_is_all_that_counts():
  write = lambda cache, row, i: jax.lax.dynamic_update_slice(cache, row, (i, 0))
  arguments = array(1024, 256), array(1, 256), array(dtype=jnp.int32)
  program = programs.compiled(write, *arguments, donate_argnums=0)
  assert cost.of_text(program.as_text()).bytes_accessed < 10 * 1024
  # Where the argument must stay, it is copied.
  assert cost.of_text(programs.compiled(write, *arguments).as_text()).bytes_accessed > 2 * MB


def test_what_lies_in_another_memory_costs_the_way_there_only():
  text = """HloModule m

%double (p: f32[1024,1024]) -> f32[1024,1024] {
  %p = f32[1024,1024]{1,0:T(8,128)S(1)} parameter(0)
  ROOT %add = f32[1024,1024]{1,0:T(8,128)S(1)} add(%p, %p)
}

ENTRY %main (a: f32[1024,1024]) -> f32[1024,1024] {
  %a = f32[1024,1024]{1,0:T(8,128)} parameter(0)
  %copy-start = (f32[1024,1024]{1,0:T(8,128)S(1)}, f32[1024,1024]{1,0:T(8,128)}, u32[]{:S(2)}) copy-start(%a)
  %copy-done = f32[1024,1024]{1,0:T(8,128)S(1)} copy-done(%copy-start)
  %fusion = f32[1024,1024]{1,0:T(8,128)S(1)} fusion(%copy-done), kind=kLoop, calls=%double
  ROOT %copy = f32[1024,1024]{1,0:T(8,128)} copy(%fusion)
}
"""
  assert cost.of_text(text).bytes_accessed == 2 * 4 * MB


def test_a_kernel_counts_by_its_operands_and_results():
  text = """HloModule m

ENTRY %main (a: bf16[512,1024]) -> bf16[512,512] {
  %a = bf16[512,1024]{1,0} parameter(0)
  %s = f32[1024]{0} parameter(1)
  ROOT %k = bf16[512,512]{1,0} custom-call(%a, %s), custom_call_target="tpu_custom_call", \
backend_config={"custom_call_config":{"cost_estimate":{"flops":"1","bytes_accessed":"7"}}}
}
"""
  assert cost.of_text(text).bytes_accessed == 2 * 512 * 1024 + 4 * 1024 + 2 * 512 * 512


def test_a_part_fetched_ahead_costs_that_part():
  text = """HloModule m

ENTRY %main (a: f32[1024,1024]) -> f32[256,1024] {
  %a = f32[1024,1024]{1,0:T(8,128)} parameter(0)
  %slice-start = ((f32[1024,1024]{1,0:T(8,128)}), f32[256,1024]{1,0:T(8,128)S(1)}, s32[]{:S(2)}) slice-start(%a), \
slice={[256:512], [0:1024]}
  ROOT %slice-done = f32[256,1024]{1,0:T(8,128)S(1)} slice-done(%slice-start)
}
"""
  assert cost.of_text(text).bytes_accessed == MB
