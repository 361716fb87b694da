import pytest

from condfoley_jax.hlo import array


@pytest.mark.parametrize(
  ("text", "dims", "size", "stored", "space"),
  [
    ("f32[7,256]{1,0}", (7, 256), 7168, 7168, 0),
    ("bf16[]", (), 2, 2, 0),
    ("pred[3]{0}", (3,), 3, 3, 0),
    ("s4[10]{0:E(4)}", (10,), 5, 5, 0),
    ("f8e4m3fn[8]{0}", (8,), 8, 8, 0),
    # The two most minor axes fill whole tiles, whatever order the axes are in.
    ("bf16[4,30,5]{1,2,0:T(8,128)(2,1)S(1)}", (4, 30, 5), 1200, 4 * 128 * 8 * 2, 1),
    ("s32[]{:T(128)}", (), 4, 512, 0),
    ("bf16[<=16,128]{1,0}", (16, 128), 4096, 4096, 0),
  ],
)
def test_size_and_place_of_an_array(text, dims, size, stored, space):
  (found,) = array.parse(text)
  assert (found.dims, found.bytes, found.stored_bytes, found.space) == (dims, size, stored, space)


def test_a_tuple_is_its_arrays_in_order():
  found = array.parse("((f32[2]{0:T(128)S(1)}), bf16[3,4]{1,0}, /*index=5*/u32[]{:S(2)}, token[])")
  assert [a.dtype for a in found] == ["f32", "bf16", "u32", "token"]
  assert [a.space for a in found] == [1, 0, 2, 0]
  assert found[-1].bytes == 0
