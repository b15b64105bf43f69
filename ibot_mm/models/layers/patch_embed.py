"""Patch embeddings for other input channels."""

import torch
from torch import Tensor


def inflate_channels(weight: Tensor, channels: int) -> Tensor:
    """Patch embedding for another number of input channels.

    Channel c takes the weights of channel c mod C_in, divided by how many
    take the same (with fewer channels: their sum), so that an image whose
    channels are all equal is embedded as before.

    Args:
        weight: Kernel of the patch embedding, (D, C_in, p, p).
        channels: Channels wanted.

    Returns:
        (D, channels, p, p).
    """
    source = weight.shape[1]
    share = torch.zeros(source, channels)
    for i in range(max(source, channels)):
        share[i % source, i % channels] = 1
    share = share / share.sum(1, keepdim=True)
    return torch.einsum('dchw,ck->dkhw', weight, share.to(weight))
