from condfoley_jax.evaluation import metrics_table


def told(value, low, high, **more):
  return {"value": value, "ci95": [low, high], "n": 9, **more}


FOUND = {
  "systems": {
    "base": {"onset_ap": told(0.637, 0.604, 0.681), "onset_skill": told(-0.05, -0.1, 0.001, over="metronome")},
    "silence": {"onset_ap": told(0.0, 0.0, 0.0), "frechet_distance": told(3657.8, 3001.2, 4314.4)},
  },
  "ceilings": {"vocoder": {"onset_ap": told(0.998, 0.996, 1.0)}},
  "preferences": {},
  "data": {"videos": 10},
  "classifier": {"material_accuracy": told(0.569, 0.474, 0.664), "action_accuracy": told(1.0, 1.0, 1.0)},
}


def rows(text):
  text = text.partition("The truth in place of parts")[0]
  lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
  head, _, *body = [[cell.strip(" `") for cell in line] for line in lines]
  return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in body}


def test_a_value_has_its_interval_unless_that_shows_no_width():
  found = rows(metrics_table.markdown(FOUND))
  assert list(found) == ["base", "silence", "vocoder"] and tuple(found["base"]) == metrics_table.COLUMNS
  assert found["base"]["onset_ap"] == "0.64 (0.60, 0.68)" and found["silence"]["onset_ap"] == "0.00"
  assert found["vocoder"]["onset_ap"] == "1.00" and found["vocoder"]["mcd_db"] == "-"
  assert found["silence"]["frechet_distance"] == "3658 (3001, 4314)"


def test_below_are_the_judges_on_true_sound_and_what_skill_is_over():
  text = " ".join(metrics_table.markdown(FOUND).split())
  assert "true sound: `material_accuracy` 0.57 (0.47, 0.66) of 9; `action_accuracy` 1.00 of 9." in text
  assert "over metronome" in text
  assert "`onset_skill` is" not in metrics_table.markdown(FOUND | {"systems": {}})


def test_intervals_of_few_videos_are_said_to_be():
  assert "too few" not in metrics_table.markdown(FOUND)
  assert "of 9 videos alone, too few" in metrics_table.markdown(FOUND | {"data": {"videos": 9}})
