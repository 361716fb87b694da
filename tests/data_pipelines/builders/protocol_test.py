import pytest

from data_pipelines.builders import protocol
from data_pipelines.builders.clips import Clip
from data_pipelines.errors import InputError
from tests.data_pipelines.builders import trees


def write(folder, conditions, matches):
  trees.write_json(folder / "AMT_test_set.json", conditions)
  trees.write_json(folder / "AMT_test_set_match_dict.json", matches)
  return folder


def test_trials_in_order(tmp_path):
  conditions = {"b_3.0667": ["c_1.0000", "d-e_2.5000"], "a_0.0000": ["b_3.0667"]}
  matches = {"b_3.0667": {"d-e_2.5000": True, "c_1.0000": False}, "a_0.0000": {"b_3.0667": True}}
  assert protocol.read_protocol(write(tmp_path, conditions, matches)) == [
    protocol.Trial(Clip("b", 3.0667), Clip("c", 1.0), False),
    protocol.Trial(Clip("b", 3.0667), Clip("d-e", 2.5), True),
    protocol.Trial(Clip("a", 0.0), Clip("b", 3.0667), True),
  ]


@pytest.mark.parametrize(
  ("conditions", "matches", "message"),
  [
    ({"a_1": ["b_1"]}, {}, "match_dict.json: no true or false for a_1 with b_1; fetch"),
    ({"a_1": ["b_1"]}, {"a_1": {"b_1": 1}}, "match_dict.json: no true or false"),
    ({"a_1": ["b_1"]}, {"a_1": []}, "match_dict.json: no true or false"),
    ({"a_1": "b_1"}, {}, "AMT_test_set.json: `a_1` has no list of condition clips; fetch"),
    ({"a": ["b_1"]}, {"a": {"b_1": True}}, "AMT_test_set.json: `a` is not `<video>_<second>`"),
    ([], {}, "AMT_test_set.json: is not a JSON object"),
  ],
)
def test_files_that_do_not_fit(tmp_path, conditions, matches, message):
  with pytest.raises(InputError, match=message) as caught:
    protocol.read_protocol(write(tmp_path, conditions, matches))
  assert trees.one_line(caught)


def test_missing_file(tmp_path):
  with pytest.raises(InputError, match=r"AMT_test_set\.json: no such file; fetch"):
    protocol.read_protocol(tmp_path)
