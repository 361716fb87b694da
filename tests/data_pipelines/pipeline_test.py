import dataclasses
import itertools
import json

import grain
import numpy as np
import pytest

from data_pipelines import pairs, pipeline, prepare
from data_pipelines.builders.events import ACTIONS, MATERIALS, UNKNOWN
from data_pipelines.errors import InputError
from tests.data_pipelines import ruler

SPEC, T, S, N = ruler.SPEC, 30, 16, 44100
FRAMES = [100, 68, 110, 61]
EVENTS = [[0.5, 3.0, 5.5], [], [1.0, 2.0, 3.0, 6.0], [4.05]]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
  return ruler.make_dataset(tmp_path_factory.mktemp("ruler"), FRAMES, EVENTS)


def batches(make, data_dir, *, batch_size=4, seed=0, train=True, **options):
  return iter(make(data_dir, SPEC, batch_size=batch_size, seed=seed, train=train, **options))


def take(iterator, count):
  return list(itertools.islice(iterator, count))


def identity(batch, name="audio"):
  """Start of each window, by its sound: frames are worth 1470 samples."""
  return [round((float(a[0]) + 1) * 2**15) for a in batch[name]]


def shapes_of(batch):
  return {name: (str(value.dtype), value.shape[1:]) for name, value in batch.items()}


def check_same(left, right):
  assert len(left) == len(right)
  for a, b in zip(left, right, strict=True):
    assert a.keys() == b.keys()
    for name in a:
      np.testing.assert_array_equal(a[name], b[name])


def check_aligned(audio, frames):
  for sound, pictures in zip(audio, frames, strict=True):
    np.testing.assert_array_equal(sound, ruler.sound(ruler.start_of(pictures) * 1470, N))


def test_pairs_have_the_promised_shapes_and_are_aligned(data_dir):
  for batch in take(batches(pipeline.pair_batches, data_dir), 10):
    assert {k: (v.dtype, v.shape) for k, v in batch.items()} == {
      "target_audio": (np.float32, (4, N)),
      "condition_audio": (np.float32, (4, N)),
      "target_frames": (np.uint8, (4, T, S, S, 3)),
      "condition_frames": (np.uint8, (4, T, S, S, 3)),
      "target_onsets": (np.float32, (4, T)),
      "target_offsets": (np.float32, (4, T)),
      "target_material": (np.int32, (4,)),
      "target_action": (np.int32, (4,)),
    }
    assert shapes_of(batch) == pipeline.example_shapes(SPEC, pairs=True)
    check_aligned(batch["target_audio"], batch["target_frames"])
    check_aligned(batch["condition_audio"], batch["condition_frames"])
    distance = np.subtract(
      [ruler.start_of(f) for f in batch["target_frames"]], [ruler.start_of(f) for f in batch["condition_frames"]]
    )
    assert np.abs(distance).min() >= T


def test_clips_have_the_promised_shapes_and_are_aligned(data_dir):
  for batch in take(batches(pipeline.clip_batches, data_dir), 5):
    assert {k: (v.dtype, v.shape) for k, v in batch.items()} == {
      "audio": (np.float32, (4, N)),
      "frames": (np.uint8, (4, T, S, S, 3)),
      "onsets": (np.float32, (4, T)),
      "offsets": (np.float32, (4, T)),
      "material": (np.int32, (4,)),
      "action": (np.int32, (4,)),
    }
    assert shapes_of(batch) == pipeline.example_shapes(SPEC, pairs=False)
    check_aligned(batch["audio"], batch["frames"])


def test_onsets_and_labels_are_those_of_the_window(tmp_path):
  labelled = ruler.make_dataset(tmp_path, [100], [[0.5, 3.0, 5.5]])
  for batch in take(batches(pipeline.clip_batches, labelled), 8):
    for frames, onsets, offsets in zip(batch["frames"], batch["onsets"], batch["offsets"], strict=True):
      start = ruler.start_of(frames)
      # 0.5, 3.0 and 5.5 s are 7.5, 45.0 and 82.5 frames.
      inside = [(f - start, part) for f, part in ((7, 0.5), (45, 0.0), (82, 0.5)) if start <= f < start + T]
      assert list(np.flatnonzero(onsets)) == [f for f, _ in inside]
      assert np.allclose(offsets[onsets == 1], [part for _, part in inside], atol=1e-5)
      assert not offsets[onsets == 0].any()
    assert set(batch["material"]) == {MATERIALS.index("metal")}
    assert set(batch["action"]) == {ACTIONS.index("hit")}


def test_video_without_events_has_no_labels(tmp_path):
  unlabelled = ruler.make_dataset(tmp_path, [100], [[]])
  batch = next(batches(pipeline.clip_batches, unlabelled, batch_size=2))
  assert batch["onsets"].sum() == 0
  assert set(batch["material"]) == set(batch["action"]) == {-1}


@pytest.mark.parametrize(
  ("labels", "expected"),
  [([], -1), (["hit", "hit"], 0), (["hit", "scratch"], -1), ([UNKNOWN], -1), ([UNKNOWN, "scratch"], 1)],
)
def test_shared_label(labels, expected):
  assert pipeline._shared_label(labels, ACTIONS) == expected


@pytest.mark.parametrize("make", [pipeline.pair_batches, pipeline.clip_batches])
def test_stream_depends_on_the_seed_alone(data_dir, make):
  first, again, other = (take(batches(make, data_dir, seed=s), 6) for s in (0, 0, 1))
  check_same(first, again)
  name = "target_audio" if make is pipeline.pair_batches else "audio"
  assert [identity(b, name) for b in first] != [identity(b, name) for b in other]


def test_train_goes_on_with_other_windows_each_epoch(data_dir):
  epoch = len(pairs.make_clips(pipeline.open_dataset(data_dir, SPEC).videos, SPEC.fps, T))
  one, two = (identity(b) for b in take(batches(pipeline.clip_batches, data_dir, batch_size=epoch), 2))
  assert sorted(one) != sorted(two)
  assert len(set(one)) > 1


def test_evaluation_is_fixed_and_finite(data_dir):
  first, again = (list(batches(pipeline.pair_batches, data_dir, train=False, batch_size=3)) for _ in range(2))
  check_same(first, again)
  sizes = [len(b["target_audio"]) for b in first]
  assert set(sizes) == {3}
  # Video 3 holds its one event too late for a start per clip; the others give one example per whole clip. What is left
  # over of less than a batch is left out.
  assert 3 + 2 + 3 - 2 <= sum(sizes) <= sum(n // T for n in FRAMES)


def test_the_first_examples_are_of_many_videos_in_evaluation_too(data_dir):
  evaluated = batches(pipeline.clip_batches, data_dir, train=False, batch_size=2)
  order = [i for batch in evaluated for i in identity(batch)]
  assert order != sorted(order)


@pytest.mark.parametrize("train", [True, False])
def test_resumes_in_the_middle_of_an_epoch(data_dir, train):
  iterator = batches(pipeline.pair_batches, data_dir, batch_size=2, train=train)
  take(iterator, 2)
  state = json.loads(json.dumps(iterator.get_state()))
  rest = take(iterator, 8)
  assert rest
  resumed = batches(pipeline.pair_batches, data_dir, batch_size=2, train=train)
  resumed.set_state(state)
  check_same(take(resumed, 8), rest)


def merged(parts):
  """Global batches of the parts that processes read."""
  batches_ = zip(*parts, strict=True)
  return [{name: np.concatenate([part[name] for part in batch]) for name in batch[0]} for batch in batches_]


def shared(data_dir, processes, batch_size=4, **options):
  """Iterators of that many processes."""
  return [
    batches(pipeline.pair_batches, data_dir, rows=rows, batch_size=batch_size, **options)
    for rows in np.split(np.arange(batch_size), processes)
  ]


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_global_batches_do_not_depend_on_the_number_of_processes(data_dir, processes):
  whole = take(batches(pipeline.pair_batches, data_dir), 7)
  check_same(merged([take(part, 7) for part in shared(data_dir, processes)]), whole)


@pytest.mark.parametrize("before", [1, 2, 4])
@pytest.mark.parametrize("after", [1, 2, 4])
def test_a_run_goes_on_with_another_number_of_processes(data_dir, before, after):
  whole = take(batches(pipeline.pair_batches, data_dir), 8)
  stopped = shared(data_dir, before)
  head = merged([take(part, 3) for part in stopped])
  states = [json.dumps(part.get_state()) for part in stopped]
  assert len(set(states)) == 1
  resumed = shared(data_dir, after)
  for part in resumed:
    part.set_state(json.loads(states[0]))
  check_same(head + merged([take(part, 5) for part in resumed]), whole)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_read_disjoint_parts_and_as_many_batches_in_evaluation(data_dir, processes):
  chooser = pairs.make_chooser(pipeline.open_dataset(data_dir, SPEC).videos, 15, T, "uniform")
  for batch_size in (4, 8):
    parts = [list(part) for part in shared(data_dir, processes, train=False, batch_size=batch_size)]
    assert {len(part) for part in parts} == {len(chooser) // batch_size}
    whole = list(batches(pipeline.pair_batches, data_dir, train=False, batch_size=batch_size))
    check_same(merged(parts), whole)


def test_rows_that_lie_apart_or_with_several_processes_are_those_of_the_batch(data_dir):
  whole = take(batches(pipeline.pair_batches, data_dir), 3)
  for rows in ([0, 3], [1, 3], [2]):
    part = take(batches(pipeline.pair_batches, data_dir, rows=rows), 3)
    check_same(part, [{name: value[rows] for name, value in batch.items()} for batch in whole])


@pytest.mark.parametrize("mode", pairs.MODES)
def test_every_mode_gives_aligned_pairs(data_dir, mode):
  for batch in take(batches(pipeline.pair_batches, data_dir, mode=mode), 3):
    check_aligned(batch["target_audio"], batch["target_frames"])
    check_aligned(batch["condition_audio"], batch["condition_frames"])


@pytest.mark.parametrize(
  ("mode", "frames", "words"),
  [
    ("uniform", [59], "no video has room for two windows; prepare longer videos, or"),
    ("outside", [60], "fewer than two videos are as long as a window; prepare more"),
    ("outside", [40, 29], "fewer than two videos are as long as a window; prepare more"),
    ("paper", [90], "no video has two labelled contacts far enough apart; prepare labelled"),
  ],
)
def test_data_without_a_pair_say_why(tmp_path, mode, frames, words):
  directory = ruler.make_dataset(tmp_path, frames, [[] for _ in frames])
  with pytest.raises(InputError, match=words):
    batches(pipeline.pair_batches, directory, batch_size=1, mode=mode)


def test_one_window_is_enough_for_clips(tmp_path):
  directory = ruler.make_dataset(tmp_path, [30], [[]])
  assert next(batches(pipeline.clip_batches, directory, batch_size=1))["audio"].shape == (1, N)


def test_damaged_record_reaches_the_caller(tmp_path):
  directory = ruler.make_dataset(tmp_path, [75], [[]])
  shard = next(directory.glob("*.tfrecord"))
  raw = bytearray(shard.read_bytes())
  raw[len(raw) // 2] ^= 1
  shard.write_bytes(raw)
  with pytest.raises(InputError, match="record 2 is damaged"):
    take(batches(pipeline.clip_batches, directory), 10)


def test_other_spec_is_refused(data_dir):
  with pytest.raises(InputError, match="frame_resize 16"):
    pipeline.clip_batches(data_dir, dataclasses.replace(SPEC, frame_resize=64), batch_size=1, seed=0, train=True)


@pytest.mark.parametrize("threads", [0, 1, 5])
def test_batches_do_not_depend_on_threads(data_dir, monkeypatch, threads):
  whole = take(batches(pipeline.pair_batches, data_dir), 6)
  monkeypatch.setattr(pipeline, "_AHEAD", grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads))
  check_same(take(batches(pipeline.pair_batches, data_dir), 6), whole)


@pytest.mark.parametrize("per_shard", [1, 3])
def test_batches_do_not_depend_on_shards(data_dir, tmp_path, monkeypatch, per_shard):
  monkeypatch.setattr(prepare, "VIDEOS_PER_SHARD", per_shard)
  other = ruler.make_dataset(tmp_path, FRAMES, EVENTS)
  assert len(list(other.glob("*.tfrecord"))) == -(-len(FRAMES) // per_shard)
  check_same(*(take(batches(pipeline.pair_batches, d, mode="paper"), 6) for d in (data_dir, other)))
