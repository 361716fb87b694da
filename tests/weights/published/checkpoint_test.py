"""Checkpoints become components whose sizes are those of their tensors."""

import numpy as np
import pytest

from condfoley_jax.clip import PAPER
from condfoley_jax.weights.published import checkpoint
from tests.weights.published import tiny


def convert(kind, state, heads=2):
  return checkpoint.convert(kind, dict(state), heads=heads)


@pytest.fixture(scope="module")
def published():
  return tiny.checkpoint()


def test_a_transformer_brings_its_vqgan_and_video_encoder(published):
  clip, parts = convert("transformer", published)
  assert clip == PAPER and list(parts) == ["vqgan", "video_encoder", "transformer"]
  config = parts["transformer"].config
  assert (config.frames, config.code_rows, config.code_columns, config.heads) == (30, 5, 10, 2)
  assert (config.layers, config.width, config.vocab, config.feature_width) == (2, 32, 16, 8)
  assert parts["vqgan"].config.widths == (32,) * 5 and parts["vqgan"].config.attention_levels == (4,)
  assert (parts["vqgan"].config.encoder_blocks, parts["vqgan"].config.decoder_blocks) == (1, 2)
  assert parts["video_encoder"].config.widths == (4, 8, 8, 8)
  np.testing.assert_array_equal(parts["transformer"].tokens.embedding[...], published["transformer.tok_emb.weight"])
  kernel = parts["video_encoder"].blocks[1].shortcut.conv.kernel[...]
  source = published["cond_stage_model.model.layer2.0.downsample.0.weight"]
  np.testing.assert_array_equal(kernel[0, 0], source[:, :, 0, 0, 0].T)


@pytest.mark.parametrize("positions", [179, 180, 256])
def test_sixty_codes_a_clip_are_read_from_the_permuter(positions):
  state = tiny.checkpoint(columns=12, positions=positions)
  clip, parts = convert("transformer", state)
  config = parts["transformer"].config
  assert (config.code_columns, config.frames, config.fed) == (12, 30, 179)
  assert (clip.mel_crop, clip.code_columns, clip.positions) == (192, 12, 180)
  table = parts["transformer"].positions.table[...]
  np.testing.assert_array_equal(table[:179], state["transformer.pos_emb"][0, :179])


def test_melgan_tells_its_ratios():
  made = convert("melgan", tiny.tensors(tiny.melgan(ratios=(4, 2), residual_layers=2, n_mels=20)))
  config = made.components["vocoder"].config
  assert (config.ratios, config.residual_layers, config.n_mels, config.width) == ((4, 2), 2, 20, 2)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_video_encoder_is_taken_with_and_without_its_classes(wrapped):
  state = tiny.tensors(tiny.r2plus1d(blocks=(2, 1, 1, 1)) | {"fc.weight": (4, 8), "fc.bias": (4,)})
  if wrapped:
    state = {f"model.{name}": x for name, x in state.items()}
  assert convert("r2plus1d", state).components["video_encoder"].config.blocks == (2, 1, 1, 1)


DAMAGES = {
  "two missing": (
    {"transformer.blocks.1.ln1.bias": None, "transformer.head.weight": None},
    r"under transformer: tensors missing \(2\): blocks\.1\.ln1\.bias, head\.weight",
  ),
  "missing in two parts and left over": (
    {"transformer.head.weight": None, "first_stage_model.quant_conv.bias": None, "spare": (1,)},
    r"under first_stage_model: .*: quant_conv\.bias; under transformer: .*: head\.weight; tensors left .*: spare",
  ),
  "left over inside": ({"transformer.extra": (3,)}, r"under transformer: tensors left over \(1\): extra"),
  "left over outside": ({"second_stage.a": (3,), "b": (1,)}, r"^tensors left over \(2\): b, second_stage\.a"),
  "misshapen": ({"transformer.ln_f.bias": (31,)}, r"under transformer: .*: ln_f\.bias is \[31\] and should be \[32\]$"),
  "of another rank": ({"transformer.head.weight": (16,)}, r"head\.weight is \[16\] and should be \[16, 32\]$"),
  "no condition": ({"transformer.pos_emb": (1, 80, 32)}, "80 positions do not hold"),
  "too few positions": ({"transformer.pos_emb": (1, 150, 32)}, "150 positions do not hold"),
  "permuter by rows": ({"first_stage_permuter.forward_shuffle_idx": np.arange(50)[::-1]}, "column by column"),
  "permuter that does not undo": (
    {"first_stage_permuter.backward_shuffle_idx": np.arange(50).reshape(5, 10).T.ravel()},
    "backward_shuffle_idx does not undo",
  ),
  "permuter one way": (
    {"first_stage_permuter.backward_shuffle_idx": None},
    "first_stage_permuter.backward_shuffle_idx",
  ),
  "misshapen within a fused layer": (
    {"transformer.blocks.0.attn.query.weight": (16, 32), "transformer.blocks.0.attn.key.bias": (32,)},
    r"under transformer: .*: blocks\.0\.attn\.query\.weight is \[16, 32\] and should be \[32, 32\]$",
  ),
  "whole and complex numbers": (
    {
      "transformer.ln_f.bias": np.zeros(32, np.int64),
      "transformer.ln_f.weight": np.zeros(32, np.complex64),
    },
    r"tensors without floats \(2\): transformer\.ln_f\.bias \(int64\), transformer\.ln_f\.weight \(complex64\)",
  ),
  "rows that do not fit": (
    {
      "first_stage_permuter.forward_shuffle_idx": np.arange(40).reshape(4, 10).T.ravel(),
      "first_stage_permuter.backward_shuffle_idx": np.argsort(np.arange(40).reshape(4, 10).T.ravel()),
    },
    "4 rows of codes for 16 mel bins",
  ),
  "a convolution without depth": (
    {"cond_stage_model.model.stem.3.weight": (4, 3)},
    r"under cond_stage_model\.model: .*: stem\.3\.weight is \[4, 3\] and should be \[4, 3, 3, 1, 1\]$",
  ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_not_as_published_is_listed(published, name):
  changes, message = DAMAGES[name]
  state = dict(published)
  for key, new in changes.items():
    state.pop(key, None)
    if new is not None:
      state[key] = new if isinstance(new, np.ndarray) else np.zeros(new, np.float32)
  with pytest.raises((ValueError, KeyError), match=message):
    convert("transformer", state)


def test_another_kind_of_checkpoint_is_refused(published):
  with pytest.raises((ValueError, KeyError)):
    convert("vqgan", published)
  with pytest.raises((ValueError, KeyError)):
    convert("transformer", tiny.tensors(tiny.melgan()))
  with pytest.raises(ValueError, match="no upsampling stage"):
    convert("melgan", published)
