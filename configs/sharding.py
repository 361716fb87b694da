"""How parameters lie on a mesh (see `condfoley_jax.sharding`): one table for all stages."""

RULES = (
  # The transformer: heads and hidden units are computed in parts (`tensor`), the other axis stored in parts (`fsdp`).
  (r"^transformer/blocks/.*attention/qkv/kernel$", ("fsdp", None, "tensor", None)),
  (r"^transformer/blocks/.*attention/qkv/bias$", (None, "tensor", None)),
  (r"^transformer/blocks/.*attention/out/kernel$", ("tensor", "fsdp")),
  (r"^transformer/blocks/.*mlp_in/kernel$", ("fsdp", "tensor")),
  (r"^transformer/blocks/.*mlp_in/bias$", ("tensor",)),
  (r"^transformer/blocks/.*mlp_out/kernel$", ("tensor", "fsdp")),
  (r"^transformer/tokens/(own/)?embedding$", ("tensor", "fsdp")),
  (r"^transformer/head/kernel$", ("fsdp", "tensor")),
  # Networks of convolutions: stored in parts along their output channels, computed whole.
  (r"kernel$", ("fsdp",)),
  (r"codebook$", (None, None)),
  (r"(bias|scale|gain)$", ()),
  (r"(positions|stand_ins)/\w+$", ()),
)
