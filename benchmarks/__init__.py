"""Speed and quality, side by side with what they are compared to."""

from condfoley_jax.commands import accelerator

accelerator.expect_no_tpu()
