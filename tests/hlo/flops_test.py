"""Operations of compiled products against their formula and the compiler's own count."""

import jax
import jax.numpy as jnp
import pytest

from condfoley_jax.hlo import cost, flops
from tests.hlo import programs
from tests.hlo.programs import array

_STRIDED = (array(2, 16, 16, 8), array(3, 3, 8, 4))
_GROUPED = lambda x, w: jax.lax.conv_general_dilated(
  x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=8
)


@pytest.mark.parametrize(
  ("function", "arguments", "formula"),
  [
    (jnp.matmul, (array(64, 32), array(32, 128)), 2 * 64 * 32 * 128),
    (lambda a, b: jnp.einsum("bhqd,bhkd->bhqk", a, b), (array(2, 3, 8, 16), array(2, 3, 4, 16)), 2 * 6 * 8 * 4 * 16),
    # Padding is no work: at the lower edge the last kernel row meets nothing.
    (programs.convolution, _STRIDED, 2 * 2 * 8 * 4 * (3 * 8 - 1) ** 2),
    (_GROUPED, (array(1, 10, 10, 8), array(3, 3, 1, 8)), 2 * 8 * 8 * 8 * 9),
  ],
)
def test_products_are_counted_as_the_formula_and_the_compiler_do(function, arguments, formula):
  program = programs.compiled(function, *arguments)
  assert cost.of_text(program.as_text()).flops == formula
  # The compiler counts additions around them too, where it adds any.
  assert program.cost_analysis()["flops"] == pytest.approx(formula, rel=0.01)


@pytest.mark.parametrize("of", [0, 1])
def test_gradients_of_a_convolution_cost_what_it_costs(of):
  swapped = (lambda x, w: programs.convolution(x, w)) if of == 0 else (lambda w, x: programs.convolution(x, w))
  arguments = _STRIDED if of == 0 else _STRIDED[::-1]
  program = programs.compiled(programs.gradient(swapped), *arguments)
  assert cost.of_text(program.as_text()).flops == 2 * 2 * 8 * 4 * (3 * 8 - 1) ** 2


@pytest.mark.parametrize("lhs", [1, 5, 8])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("axis", [(1, 0, 1, 1), (2, 1, 1, 1), (1, 2, 2, 1), (3, -1, 4, 2), (7, 0, 8, 1), (2, 3, 6, 1)])
def test_meetings_are_those_that_counting_finds(lhs, kernel, axis):
  result, (stride, pad, lhs_dilate, rhs_dilate) = 6, axis
  inside = {i * lhs_dilate for i in range(lhs)}
  found = sum(out * stride - pad + k * rhs_dilate in inside for out in range(result) for k in range(kernel))
  assert flops._meetings(lhs, result, kernel, flops._Axis(*axis)) == found


@pytest.mark.parametrize(
  ("result", "call", "expected"),
  [
    (
      "(f32[64,128]{1,0}, s8[1024]{0})",
      'custom-call(%a, %b), custom_call_target="__cublas$gemm", backend_config={"gemm_backend_config":'
      '{"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"],"rhs_contracting_dimensions":["0"]}}}',
      2 * 64 * 128 * 32,
    ),
    (
      "(f32[64,128]{1,0}, s8[0]{0})",
      'custom-call(%a, %b), custom_call_target="mosaic", backend_config={"cost_estimate":{"flops":"999"}}',
      0,
    ),
    (
      "(f32[2,6,6,8]{3,2,1,0}, u8[0]{0})",
      "custom-call(%c, %d), window={size=3x3}, dim_labels=b01f_01io->b01f, "
      'custom_call_target="__cudnn$convBackwardInput"',
      2 * 2 * 8 * 16 * (4 * 3) ** 2,
    ),
  ],
)
def test_library_calls_are_known_and_other_calls_are_not_believed(result, call, expected):
  text = f"""HloModule m

ENTRY %main (a: f32[64,32]) -> f32[64,128] {{
  %a = f32[64,32]{{1,0}} parameter(0)
  %b = f32[32,128]{{1,0}} parameter(1)
  %c = f32[2,4,4,16]{{3,2,1,0}} parameter(2)
  %d = f32[3,3,8,16]{{3,2,1,0}} parameter(3)
  ROOT %call = {result} {call}
}}
"""
  assert cost.of_text(text).flops == expected


def test_elementwise_work_is_apart_and_integers_are_none():
  program = programs.compiled(lambda x, i: (jnp.exp(x) * 3 + 1, i * 3), array(10, 10), array(50, dtype=jnp.int32))
  found = cost.of_text(program.as_text())
  assert found.flops == 0 and found.elementwise_flops == 300
