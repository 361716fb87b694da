"""State dicts of the published modules at tiny sizes: names and shapes as PyTorch has them, numbers by name."""

import zlib

import numpy as np

Shapes = dict[str, tuple[int, ...]]


def checkpoint(*, rows: int = 5, columns: int = 10, positions: int = 160) -> dict[str, np.ndarray]:
  """State dict of the conditional transformer: it embeds a VQGAN and a video encoder."""
  shapes = {
    **_under("first_stage_model.", vqgan()),
    **_under("cond_stage_model.model.", r2plus1d()),
    **_under("transformer.", gpt(positions=positions)),
    "first_stage_model.wav_transforms.0.window": (1024,),
    "wav_transforms.3.fb": (513, 80),
  }
  order = np.arange(rows * columns).reshape(rows, columns).T.ravel()
  permuter = {"forward_shuffle_idx": order, "backward_shuffle_idx": np.argsort(order)}
  return tensors(shapes) | _under("first_stage_permuter.", permuter)


def tensors(shapes: Shapes) -> dict[str, np.ndarray]:
  """Numbers that depend on the names alone; variances are above 0, counters are integers."""
  return {name: _tensor(name, shape) for name, shape in shapes.items()}


def vqgan(widths=(32,) * 5, encoder_blocks=1, decoder_blocks=2, z=8, vocab=16, width=8) -> Shapes:
  last = len(widths) - 1
  shapes = {
    **_conv("encoder.conv_in", widths[0], 1, 3, 3),
    **_middle("encoder.mid", widths[last]),
    **_norm("encoder.norm_out", widths[last]),
    **_conv("encoder.conv_out", z, widths[last], 3, 3),
    **_conv("quant_conv", width, z, 1, 1),
    "quantize.embedding.weight": (vocab, width),
    **_conv("post_quant_conv", z, width, 1, 1),
    **_conv("decoder.conv_in", widths[last], z, 3, 3),
    **_middle("decoder.mid", widths[last]),
    **_norm("decoder.norm_out", widths[0]),
    **_conv("decoder.conv_out", 1, widths[0], 3, 3),
  }
  for i, out in enumerate(widths):
    attention = i == last
    shapes |= _level(f"encoder.down.{i}", widths[max(i - 1, 0)], out, encoder_blocks, attention)
    shapes |= _level(f"decoder.up.{i}", widths[min(i + 1, last)], out, decoder_blocks, attention)
    shapes |= _conv(f"encoder.down.{i}.downsample.conv", out, out, 3, 3) if i < last else {}
    shapes |= _conv(f"decoder.up.{i}.upsample.conv", out, out, 3, 3) if i else {}
  return shapes


def r2plus1d(widths=(4, 8, 8, 8), blocks=(1, 1, 1, 1), stem_mid=3) -> Shapes:
  shapes = _conv_2_plus_1("stem", 3, stem_mid, widths[0], 7, norms=("1", "4"), convs=("0", "3"))
  before = widths[0]
  for layer, (width, count) in enumerate(zip(widths, blocks, strict=True), 1):
    for block in range(count):
      name = f"layer{layer}.{block}"
      mid = before * width * 27 // (9 * before + 3 * width)
      for i, inputs in ((1, before), (2, width)):
        shapes |= _conv_2_plus_1(f"{name}.conv{i}", inputs, mid, width, 3, norms=("0.1", "1"), convs=("0.0", "0.3"))
      if not block and layer > 1:
        shapes |= {
          f"{name}.downsample.0.weight": (width, before, 1, 1, 1),
          **_batch_norm(f"{name}.downsample.1", width),
        }
      before = width
  return shapes


def gpt(layers=2, width=32, vocab=16, features=8, positions=160) -> Shapes:
  shapes = {
    "pos_emb": (1, positions, width),
    "tok_emb.weight": (vocab, width),
    **_conv("embedder", width, features, 1),
    **_norm("ln_f", width),
    "head.weight": (vocab, width),
  }
  for i in range(layers):
    name = f"blocks.{i}"
    shapes |= {**_norm(f"{name}.ln1", width), **_norm(f"{name}.ln2", width)}
    for part in ("key", "query", "value", "proj"):
      shapes |= _conv(f"{name}.attn.{part}", width, width)
    shapes |= {**_conv(f"{name}.mlp.0", 4 * width, width), **_conv(f"{name}.mlp.2", width, 4 * width)}
    shapes[f"{name}.attn.mask"] = (1, 1, positions, positions)
  return shapes


def melgan(width=2, n_mels=80, residual_layers=1, ratios=(8, 8, 2, 2)) -> Shapes:
  before = width * 2 ** len(ratios)
  shapes, at = _weight_norm("model.1", before, n_mels, 7), 3
  for ratio in ratios:
    shapes |= {
      f"model.{at}.weight_g": (before, 1, 1),
      f"model.{at}.weight_v": (before, before // 2, 2 * ratio),
      f"model.{at}.bias": (before // 2,),
    }
    before //= 2
    for i in range(1, residual_layers + 1):
      for part, taps in (("block.2", 3), ("block.4", 1), ("shortcut", 1)):
        shapes |= _weight_norm(f"model.{at + i}.{part}", before, before, taps)
    at += residual_layers + 2
  return shapes | _weight_norm(f"model.{at + 1}", 1, before, 7)


def patchgan(width=8, layers=2) -> Shapes:
  shapes = _conv("main.0", width, 1, 4, 4)
  for i in range(layers):
    shapes |= {f"main.{2 + 3 * i}.weight": (2 * width, width, 4, 4), **_batch_norm(f"main.{3 + 3 * i}", 2 * width)}
    width *= 2
  return shapes | _conv(f"main.{2 + 3 * layers}", 1, width, 4, 4)


VGG = ((4,), (6,), (8, 8), (8, 8), (8, 8))


def lpaps(n_mels=80) -> Shapes:
  shapes, before, at = {f"scaling_layer.{name}": (1, 1, n_mels, 1) for name in ("shift", "scale")}, 1, 0
  for i, widths in enumerate(VGG):
    for width in widths:
      shapes |= _conv(f"net.slice{i + 1}.{at}", width, before, 3, 3)
      before, at = width, at + 2
    shapes[f"lin{i}.model.1.weight"] = (1, before, 1, 1)
    at += 1
  return shapes


def _tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
  if name.endswith("num_batches_tracked"):
    return np.array(7)
  n = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
  if name.endswith(("running_var", "weight_g", "scaling_layer.scale")):
    return 1 + np.abs(n)
  scale = 1 / np.sqrt(max(1, np.prod(shape[1:]))) if len(shape) > 1 else 0.1
  return n * np.float32(scale)


def _under(prefix: str, values: dict) -> dict:
  return {f"{prefix}{name}": value for name, value in values.items()}


def _conv(name: str, out: int, *rest: int) -> Shapes:
  return {f"{name}.weight": (out, *rest), f"{name}.bias": (out,)}


def _weight_norm(name: str, out: int, *rest: int) -> Shapes:
  return {f"{name}.weight_g": (out, 1, 1), f"{name}.weight_v": (out, *rest), f"{name}.bias": (out,)}


def _norm(name: str, width: int) -> Shapes:
  return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _batch_norm(name: str, width: int) -> Shapes:
  statistics = {f"{name}.running_mean": (width,), f"{name}.running_var": (width,), f"{name}.num_batches_tracked": ()}
  return _norm(name, width) | statistics


def _conv_2_plus_1(name: str, inputs: int, mid: int, out: int, kernel: int, *, norms, convs) -> Shapes:
  return {
    f"{name}.{convs[0]}.weight": (mid, inputs, 1, kernel, kernel),
    **_batch_norm(f"{name}.{norms[0]}", mid),
    f"{name}.{convs[1]}.weight": (out, mid, 3, 1, 1),
    **_batch_norm(f"{name}.{norms[1]}", out),
  }


def _block(name: str, inputs: int, out: int) -> Shapes:
  shortcut = _conv(f"{name}.nin_shortcut", out, inputs, 1, 1) if inputs != out else {}
  return {
    **_norm(f"{name}.norm1", inputs),
    **_conv(f"{name}.conv1", out, inputs, 3, 3),
    **_norm(f"{name}.norm2", out),
    **_conv(f"{name}.conv2", out, out, 3, 3),
    **shortcut,
  }


def _attention(name: str, width: int) -> Shapes:
  shapes = _norm(f"{name}.norm", width)
  for part in ("q", "k", "v", "proj_out"):
    shapes |= _conv(f"{name}.{part}", width, width, 1, 1)
  return shapes


def _middle(name: str, width: int) -> Shapes:
  blocks = _block(f"{name}.block_1", width, width) | _block(f"{name}.block_2", width, width)
  return blocks | _attention(f"{name}.attn_1", width)


def _level(name: str, inputs: int, out: int, blocks: int, attention: bool) -> Shapes:
  shapes = {}
  for i in range(blocks):
    shapes |= _block(f"{name}.block.{i}", out if i else inputs, out)
    shapes |= _attention(f"{name}.attn.{i}", out) if attention else {}
  return shapes
