import pytest

from condfoley_jax.evaluation import scoring


@pytest.mark.parametrize(("offset_s", "in_time"), [(0.0, 1), (-0.033333, 1), (0.033333, 1), (-0.066667, 0), (0.5, 0)])
def test_in_time_is_a_step_of_the_judge_either_way(offset_s, in_time):
  assert scoring.timing(offset_s) == {"sync_in_time": in_time, "sync_error_s": abs(offset_s)}
