import pytest

from data_pipelines.builders import greatest_hits
from data_pipelines.builders.clips import Clip
from data_pipelines.builders.events import Event
from data_pipelines.errors import InputError
from tests.data_pipelines.builders import trees

TRAIN, TEST = [f"2015-02-16-16-49-{k:02d}" for k in range(60)], ["2015-09-12-04-38-02-78", "2015-09-12-04-38-02-9"]
EVENTS = (Event(0.5, "wood", "hit", "static"), Event(1.25, "None", "None", "None"))


def names(videos, *ends):
  return [f"{v}{end}" for v in videos for end in ends]


@pytest.fixture
def published(tmp_path):
  """The layout of Owens et al., with lists that leave out the last video of training."""
  trees.touch(tmp_path, *names(TRAIN + TEST, "_denoised.mp4", "_denoised.wav", "_mic.mp4", "_mic.wav", "_times.txt"))
  trees.greatest_hits_lists(tmp_path, train=TRAIN[:-1], val=TRAIN[1:4], test=TEST)
  return tmp_path


def test_published_layout(published):
  (one, other) = greatest_hits.sources(published, "test")
  assert (one.id, other.id) == tuple(sorted(TEST))
  assert one.video == published / f"{one.id}_denoised.mp4" and one.audio == published / f"{one.id}_denoised.wav"
  assert one.events == EVENTS and not one.denoise and one.label is one.span_s is None


def test_our_splits_are_disjoint_complete_and_do_not_move(published):
  splits = {s: [x.id for x in greatest_hits.sources(published, s)] for s in greatest_hits.SPLITS}
  assert sorted(v for ids in splits.values() for v in ids) == sorted(TRAIN + TEST)
  assert splits["test"] == sorted(TEST)
  assert 0 < len(splits["val"]) < 12
  for name in TRAIN[::2]:
    for end in ("_denoised.mp4", "_times.txt"):
      (published / f"{name}{end}").unlink()
  assert [x.id for x in greatest_hits.sources(published, "val")] == [v for v in splits["val"] if v in TRAIN[1::2]]


def test_published_splits_are_the_lists_videos(published):
  ids = {s: [x.id for x in greatest_hits.sources(published, s)] for s in greatest_hits.PUBLISHED_SPLITS}
  assert ids == {"published_train": TRAIN[:-1], "published_val": TRAIN[1:4], "published_test": sorted(TEST)}
  assert greatest_hits.clips("published_val", published)[:3] == [
    Clip(TRAIN[1], 0.0),
    Clip(TRAIN[1], 0.5),
    Clip(TRAIN[2], 0.0),
  ]


def test_contacts_lie_in_the_frames_that_their_rounded_times_are_of(published):
  (published / f"{TEST[0]}_times.txt").write_text(
    "4.7333 wood hit static\n4.733333 wood hit static\n4.74 wood hit static\n"
  )
  one, _ = greatest_hits.sources(published, "test")
  assert [e.time_s for e in one.events] == [71 / 15, 71 / 15, 4.74]


def test_small_version_and_a_video_without_its_wav(tmp_path):
  trees.touch(tmp_path, f"{TEST[0]}_denoised_thumb.mp4", f"{TEST[0]}_times.txt")
  trees.greatest_hits_lists(tmp_path, train=[], val=[], test=TEST[:1])
  (one,) = greatest_hits.sources(tmp_path, "test")
  assert one.video.name == f"{TEST[0]}_denoised_thumb.mp4" and one.audio is None


def test_layout_of_the_published_code(tmp_path):
  data, lists = tmp_path / "data", tmp_path / "lists"
  for name, folder, sound in ((TEST[0], TEST[0], "_denoised_resampled"), (TEST[1], f"{TEST[1]}_denoised", "_denoised")):
    trees.touch(data / folder, "frames/frame000001.jpg", f"audio/{name}{sound}.wav")
    trees.write_json(data / folder / "meta.json", {"frame_rate": 15})
    trees.write_json(data / folder / "hit_record.json", [[0.5, "wood hit"]])
  trees.greatest_hits_lists(lists, train=[], val=[], test=TEST)
  one, other = greatest_hits.sources(data, "test", lists)
  assert one.video == data / TEST[0] / "frames" and one.audio.name == f"{TEST[0]}_denoised_resampled.wav"
  assert other.id == TEST[1] and other.audio.name == f"{TEST[1]}_denoised.wav"
  assert one.events == other.events == (Event(0.5, "wood", "hit", "None"),)


def test_hit_records_stand_in_for_missing_times(published):
  (published / f"{TEST[0]}_times.txt").unlink()
  with pytest.raises(InputError, match=rf"{TEST[0]}_times\.txt: missing, and no hit records; get the videos"):
    greatest_hits.sources(published, "test")
  for name in TEST:
    trees.write_json(published / name / "hit_record.json", [[2.5, "metal None"]])
  one, other = greatest_hits.sources(published, "test")
  assert one.events == (Event(2.5, "metal", "None", "None"),) and other.events == EVENTS


def test_missing_video_is_named(published):
  (published / f"{TRAIN[2]}_denoised.mp4").unlink()
  for split in ("train", "published_train"):
    with pytest.raises(InputError, match=rf"{TRAIN[2]}_denoised\.mp4: missing; get .*andrewowens\.com") as caught:
      greatest_hits.sources(published, split)
    assert trees.one_line(caught)
  (published / f"{TRAIN[2]}_times.txt").unlink()
  with pytest.raises(InputError, match=rf"{TRAIN[2]}_denoised\.mp4: missing"):
    greatest_hits.sources(published, "published_train")
  assert TRAIN[2] not in {x.id for x in greatest_hits.sources(published, "train")}


@pytest.mark.parametrize(
  ("files", "message"),
  [
    ((), "no <video>_denoised.mp4 and no <video>/frames in it; get"),
    (("2015-01.mp4",), "2015-01.mp4 and the others are not named <video>_denoised.mp4; get"),
    (("v/frames/frame000001.jpg",), r"v/audio/v_denoised\.wav: missing, the pictures are there"),
    (("v/frames/a", "v_denoised/frames/a"), "v_denoised: has the same name as .*v; rename or remove"),
    (("v_times.txt",), r"v_denoised\.mp4: missing"),
  ],
)
def test_folder_that_does_not_fit(tmp_path, files, message):
  trees.touch(tmp_path, *files)
  trees.greatest_hits_lists(tmp_path, train=[], val=[], test=["v"])
  with pytest.raises(InputError, match=message) as caught:
    greatest_hits.sources(tmp_path, "test")
  assert trees.one_line(caught)


def test_other_bad_input(published):
  with pytest.raises(InputError, match="no split `valid`; choose one of train, val, test, published_train"):
    greatest_hits.sources(published, "valid")
  with pytest.raises(InputError, match="no such folder; give the folder of Greatest Hits"):
    greatest_hits.sources(published / "none", "test")
  (published / f"{TEST[1]}_times.txt").write_text("jelly\n")
  with pytest.raises(InputError, match=rf"{TEST[1]}_times\.txt: line 1 is not"):
    greatest_hits.sources(published, "test")
  (published / "greatesthit_test.json").write_text("[")
  with pytest.raises(InputError, match=r"greatesthit_test\.json: is not JSON; fetch it from"):
    greatest_hits.sources(published, "train")
  (published / "greatesthit_test.json").unlink()
  with pytest.raises(InputError, match=r"greatesthit_test\.json: no such file; fetch it from"):
    greatest_hits.sources(published, "train")


def test_other_rate_of_unpacked_pictures_is_refused(tmp_path):
  trees.touch(tmp_path / "v", "frames/frame000001.jpg", "audio/v_denoised.wav")
  trees.write_json(tmp_path / "v" / "meta.json", {"frame_rate": 30})
  with pytest.raises(InputError, match=r"v/meta\.json: 30 pictures a second; unpack the video at 15"):
    greatest_hits.sources(tmp_path, "test")


def test_check_counts_and_names(published):
  (published / f"{TEST[0]}_denoised.mp4").unlink()
  (published / f"{TEST[1]}_times.txt").unlink()
  (published / "greatesthit_val.json").unlink()
  trees.touch(published, "holiday.mp4")
  report = greatest_hits.check(published)
  videos, labels, lists = report.parts
  assert (videos.expected, videos.found, videos.missing) == (977, 61, (TEST[0],))
  assert (labels.expected, labels.found, labels.missing) == (977, 61, (TEST[1],))
  assert (lists.expected, lists.found, lists.missing) == (3, 2, ("greatesthit_val.json",))
  assert report.unknown == ("holiday.mp4",) and not report.complete
  text = report.text()
  assert "61 of 977" in text and TEST[0] in text and "andrewowens.com/vis" in text and "no hashes are published" in text


def test_check_counts_unpacked_videos_without_their_sound(tmp_path):
  trees.touch(tmp_path / "a", "frames/frame000001.jpg", "audio/a_denoised.wav")
  trees.touch(tmp_path / "b", "frames/frame000001.jpg")
  videos, _, sound, _ = greatest_hits.check(tmp_path).parts
  assert (videos.found, sound.expected, sound.found, sound.missing) == (2, 2, 1, ("b",))


def test_check_counts_labels_of_unpacked_videos_once(tmp_path):
  for name in ("a_denoised", "b"):
    trees.touch(tmp_path / name, "frames/frame000001.jpg")
    trees.write_json(tmp_path / name / "hit_record.json", [[0.5, "wood hit"]])
  labels = greatest_hits.check(tmp_path).parts[1]
  assert (labels.found, labels.missing) == (2, ())


def test_check_of_everything(published, monkeypatch):
  monkeypatch.setattr(greatest_hits, "VIDEOS", len(TRAIN + TEST))
  report = greatest_hits.check(published)
  assert report.complete and report.text().endswith("complete")
