"""Axis glossary and array types.

| axis | meaning |
|---|---|
| B | batch: clips, pairs, or the takes of a job |
| J | jobs: a query and an example each |
| N | samples of mono audio |
| T | video frames |
| H, W | height and width of a video frame, px |
| C | channels |
| F | mel bins, lowest first |
| M | mel frames |
| R, K | rows (frequency) and columns (time) of the code grid |
| S | positions of the transformer's sequence; P those of its prefix, Q those read at once |
| E | width of a head |
| L | codes in a sequence, column-major: index = column * R + row |
| D | model width |
| V | vocabulary: entries of the codebook |

A suffix in a name gives its axes, as in `x_BxSxD`. Audio is float32 in [-1, 1], mel is float32 in [-1, 1] (from -80 dB
to +20 dB of linear mel magnitude), frames are uint8 RGB, codes are int32 in [0, V).
"""

from typing import TypeAlias

import jax

Audio_BxN: TypeAlias = jax.Array
Mel_BxFxM: TypeAlias = jax.Array
Frames_BxTxHxWx3: TypeAlias = jax.Array
Features_BxTxD: TypeAlias = jax.Array
Grid_BxRxK: TypeAlias = jax.Array
Codes_BxL: TypeAlias = jax.Array
Logits_BxV: TypeAlias = jax.Array
