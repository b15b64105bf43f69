"""Pixels of a token."""

from torch import nn


def cell_size(backbone: nn.Module) -> int:
    """Side in pixels of what a token of the last block covers."""
    side = backbone.patch_embed.projection.stride[0]
    stages = getattr(backbone, 'stages', None)  # each but the first merges
    return side if stages is None else side * 2**(len(stages) - 1)
