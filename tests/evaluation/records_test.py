import pytest

from condfoley_jax.evaluation.records import Records
from data_pipelines.errors import InputError

IDENTITY = {"data": "d", "judges": "j"}


@pytest.fixture
def path(tmp_path):
  path = tmp_path / "records" / "base.jsonl"
  records = Records(path, IDENTITY)
  for name, f1 in (("b", 0.5), ("a", 0.25)):
    records.add({"item": name, "f1": f1})
  return path


def test_they_come_back_by_the_names_of_their_items(path):
  first, *lines = path.read_text().splitlines(keepends=True)
  path.write_text("".join([first, *reversed(lines)]))
  records = Records(path, IDENTITY)
  assert "a" in records and "b" in records and "c" not in records
  assert records["a"] == {"item": "a", "f1": 0.25} and records["b"] == {"item": "b", "f1": 0.5}


@pytest.mark.parametrize("left", [1, 5, 20])
def test_half_a_line_of_a_killed_run_is_made_again(path, left):
  whole = path.read_text()
  path.write_text(whole[:-left])
  records = Records(path, IDENTITY)
  assert "b" in records and "a" not in records
  records.add({"item": "a", "f1": 0.25})
  assert path.read_text() == whole


def test_a_file_without_its_first_line_is_begun_again(path):
  path.write_text('{"da')
  assert "b" not in Records(path, IDENTITY) and path.read_text().count("\n") == 1


def test_records_of_something_else_are_not_mixed_in(path):
  with pytest.raises(InputError, match=r"base\.jsonl: of another evaluation \(judges j\); choose another folder"):
    Records(path, IDENTITY | {"judges": "k"})


@pytest.mark.parametrize(
  "damage",
  [
    lambda content: content.replace(b'"item"', b'"it"'),
    lambda content: content.replace(b'"a"', b"[]"),
    lambda content: content.replace(b"{", b"", 2),
    lambda content: b"\xff" + content,
    lambda content: content.replace(b'"a"', b'"\xe4"'),
    lambda content: b"[]\n" + content,
    lambda content: content + b"[]\n",
    lambda content: content + b"3\n",
    lambda content: content + b"[" * 100_000 + b"\n",
    lambda content: content + b"\n",
    lambda content: content.replace(b"0.25", b"0.26"),
    lambda content: content.replace(b"0.25", b"Infinity"),
    lambda content: content + content.splitlines(keepends=True)[1],
    lambda content: content + b'{"item": "c", "f1": 0.5}\n',
  ],
)
def test_damage_is_one_line(path, damage):
  path.write_bytes(damage(path.read_bytes()))
  with pytest.raises(InputError, match=r"base\.jsonl: damaged; remove it, and it is made again$"):
    Records(path, IDENTITY)
