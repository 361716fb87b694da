"""Checkpoints become components whose sizes are those of their tensors."""

import re

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
    r"^tensors missing \(2\): transformer\.blocks\.1\.ln1\.bias, transformer\.head\.weight$",
  ),
  "missing in two parts and left over": (
    {"transformer.head.weight": None, "first_stage_model.quant_conv.bias": None, "spare": (1,)},
    r"missing \(2\): first_stage_model\.quant_conv\.bias, transformer\.head\.weight; tensors left over \(1\): spare$",
  ),
  "left over inside": ({"transformer.extra": (3,)}, r"^tensors left over \(1\): transformer\.extra$"),
  "left over outside": ({"second_stage.a": (3,), "b": (1,)}, r"^tensors left over \(2\): b, second_stage\.a"),
  "misshapen": (
    {"transformer.ln_f.bias": (31,)},
    r"shape \(1\): transformer\.ln_f\.bias is \[31\] and should be \[32\]$",
  ),
  "of another rank": (
    {"transformer.head.weight": (16,)},
    r"transformer\.head\.weight is \[16\] and should be \[16, 32\]$",
  ),
  "no condition": ({"transformer.pos_emb": (1, 80, 32)}, "80 positions do not hold"),
  "too few positions": ({"transformer.pos_emb": (1, 150, 32)}, "150 positions do not hold"),
  "permuter by rows": ({"first_stage_permuter.forward_shuffle_idx": np.arange(50)[::-1]}, "column by column"),
  "permuter of columns that run backwards": (
    {"first_stage_permuter.forward_shuffle_idx": -np.arange(50).reshape(5, 10).T.ravel()},
    "column by column",
  ),
  "permuter of rank 0": (
    {"first_stage_permuter.forward_shuffle_idx": np.array(3)},
    r"first_stage_permuter\.forward_shuffle_idx is \[\] and should be \[any\]$",
  ),
  "permuter of rank 2": (
    {"first_stage_permuter.backward_shuffle_idx": np.arange(50).reshape(5, 10)},
    r"first_stage_permuter\.backward_shuffle_idx is \[5, 10\] and should be \[any\]$",
  ),
  "permuter of complex numbers": (
    {"first_stage_permuter.forward_shuffle_idx": np.zeros(50, np.complex64)},
    r"without whole numbers \(1\): first_stage_permuter\.forward_shuffle_idx \(complex64\)$",
  ),
  "permuter of no numbers": (
    {"first_stage_permuter.forward_shuffle_idx": np.full(50, np.nan, np.float32)},
    r"without whole numbers \(1\): first_stage_permuter\.forward_shuffle_idx \(float32\)$",
  ),
  "permuter with more": (
    {"first_stage_permuter.spare": (3,)},
    r"^tensors left over \(1\): first_stage_permuter\.spare$",
  ),
  "what is told without a size, and what is told of sizes": (
    {"first_stage_permuter.forward_shuffle_idx": None, "first_stage_model.quant_conv.bias": None},
    r"missing \(2\): first_stage_model\.quant_conv\.bias, first_stage_permuter\.forward_shuffle_idx$",
  ),
  "sizes of two parts": (
    {"cond_stage_model.model.stem.0.weight": None, "transformer.tok_emb.weight": None},
    r"missing \(2\): cond_stage_model\.model\.stem\.0\.weight, transformer\.tok_emb\.weight$",
  ),
  "other codes than the codebook has": (
    {"transformer.tok_emb.weight": (20, 32), "transformer.head.weight": (20, 32)},
    r"not made for each other \(codes in all: vqgan 16, transformer 20\)$",
  ),
  "wider features than the encoder gives": (
    {"transformer.embedder.weight": (32, 9, 1)},
    r"not made for each other \(width of a frame's features: video_encoder 8, transformer 9\)$",
  ),
  "no numbers": (
    {
      "transformer.ln_f.weight": np.full(32, np.nan, np.float32),
      "first_stage_model.quant_conv.bias": np.full(8, 1e300),
    },
    r"not finite in float32 \(2\): first_stage_model\.quant_conv\.bias, transformer\.ln_f\.weight$",
  ),
  "a tensor of the middle's attention": (
    {"first_stage_model.encoder.mid.attn_1.q.weight": None},
    r"^tensors missing \(1\): first_stage_model\.encoder\.mid\.attn_1\.q\.weight$",
  ),
  "names that only look like what is not learned": (
    {"x.wav_transforms.y": (1,), "transformer.x.attn.mask": (1,), "z.num_batches_tracked": np.array(1)},
    r"left over \(3\): transformer\.x\.attn\.mask, x\.wav_transforms\.y, z\.num_batches_tracked$",
  ),
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
    r"shape \(1\): transformer\.blocks\.0\.attn\.query\.weight is \[16, 32\] and should be \[32, 32\]$",
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
    r"shape \(1\): cond_stage_model\.model\.stem\.3\.weight is \[4, 3\] and should be \[4, 3, 3, 1, 1\]$",
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
  with pytest.raises(ValueError, match=message):
    convert("transformer", state)


@pytest.mark.filterwarnings("error")
def test_numbers_that_float32_cannot_hold_are_told_without_a_warning(published):
  with pytest.raises(ValueError, match="not finite"):
    convert("transformer", published | {"transformer.ln_f.weight": np.full(32, 1e300)})


def test_all_tensors_that_are_not_finite_are_named(published):
  bad = {
    k: np.full_like(x, np.inf) for k, x in published.items() if k.startswith("transformer.blocks.0.mlp") or ".ln" in k
  }
  with pytest.raises(ValueError, match=rf"not finite in float32 \({len(bad)}\): {', '.join(sorted(bad))}$"):
    convert("transformer", published | bad)


WITHOUT = {
  "blocks": ("transformer", "transformer.blocks.", r"missing \(1\): transformer\.blocks\.\*$"),
  "levels": ("transformer", "first_stage_model.encoder.down.", r"missing \(1\): first_stage_model\.encoder\.down\.\*$"),
  "the last layer": ("r2plus1d", "layer4.", r"^tensors missing \(1\): layer4\.\*$"),
  "all but the stem": ("r2plus1d", "layer", r"^tensors missing \(1\): layer1\.\*$"),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_layers_of_which_there_are_none_are_named(published, name):
  kind, prefix, message = WITHOUT[name]
  state = published if kind == "transformer" else tiny.tensors(tiny.r2plus1d())
  with pytest.raises(ValueError, match=message):
    convert(kind, {k: x for k, x in state.items() if not k.startswith(prefix)})


def one_lost(kind, state, lost):
  """What is said when a tensor is not there."""
  with pytest.raises(ValueError) as error:
    convert(kind, {k: x for k, x in state.items() if k != lost})
  return str(error.value)


@pytest.mark.parametrize("name", sorted(tiny.melgan()))
def test_one_tensor_lost_from_a_melgan_is_the_one_that_is_named(name):
  assert one_lost("melgan", tiny.tensors(tiny.melgan()), name) == f"tensors missing (1): {name}"


@pytest.mark.parametrize("name", [k for k in tiny.r2plus1d() if not k.endswith("num_batches_tracked")])
def test_one_tensor_lost_from_a_video_encoder_is_the_one_that_is_named(name):
  assert one_lost("r2plus1d", tiny.tensors(tiny.r2plus1d()), name) == f"tensors missing (1): {name}"


def with_losses():
  state = tiny.tensors(tiny.vqgan())
  state |= {f"loss.discriminator.{k}": x for k, x in tiny.tensors(tiny.patchgan()).items()}
  return state | {f"loss.perceptual_loss.{k}": x for k, x in tiny.tensors(tiny.lpaps()).items()}


def test_a_vqgan_brings_its_losses():
  parts = convert("vqgan", with_losses()).components
  assert list(parts) == ["vqgan", "lpaps", "discriminator"]
  assert (parts["discriminator"].config.width, parts["discriminator"].config.layers) == (8, 2)
  assert parts["lpaps"].config.widths == tiny.VGG


@pytest.mark.parametrize(
  "name", [k for k in with_losses() if "block" not in k and not k.endswith("num_batches_tracked")]
)
def test_one_tensor_lost_from_a_vqgan_is_the_one_that_is_named(name):
  assert one_lost("vqgan", with_losses(), name) == f"tensors missing (1): {name}"


def test_what_is_lost_from_three_parts_of_a_vqgan_is_in_one_list():
  lost = ["loss.discriminator.main.3.bias", "loss.perceptual_loss.lin2.model.1.weight", "quant_conv.bias"]
  with pytest.raises(ValueError, match=re.escape(f"tensors missing (3): {', '.join(lost)}")):
    convert("vqgan", {k: x for k, x in with_losses().items() if k not in lost})


def test_statistics_of_a_perceptual_loss_may_be_absent_but_not_wrong():
  state = tiny.tensors(tiny.lpaps())
  neither = {k: x for k, x in state.items() if not k.startswith("scaling")}
  assert convert("lpaps", neither).components["lpaps"].config.n_mels == 80
  scale = {"scaling_layer.scale": np.zeros((1, 1, 80, 1), np.float32)}
  with pytest.raises(ValueError, match=r"not above 0 everywhere \(1\): scaling_layer\.scale$"):
    convert("lpaps", state | scale)


@pytest.mark.parametrize(
  ("prefix", "more", "left"),
  [
    ("model.", "spare.x", "spare.x"),
    ("", "model.x", "model.x"),
    ("model.", "fc.weight", "fc.weight"),
    ("", "fc.a.b", "fc.a.b"),
  ],
)
def test_what_a_video_encoder_has_not_is_left_over(prefix, more, left):
  state = {f"{prefix}{k}": x for k, x in tiny.tensors(tiny.r2plus1d()).items()}
  with pytest.raises(ValueError, match=rf"^tensors left over \(1\): {re.escape(left)}$"):
    convert("r2plus1d", state | {more: np.zeros(1, np.float32)})


def test_another_kind_of_checkpoint_is_refused(published):
  with pytest.raises(ValueError, match="encoder"):
    convert("vqgan", published)
  with pytest.raises(ValueError, match="first_stage_permuter") as error:
    convert("transformer", tiny.tensors(tiny.melgan()))
  assert "left over" not in str(error.value)
  with pytest.raises(ValueError, match="no upsampling stage"):
    convert("melgan", published)
