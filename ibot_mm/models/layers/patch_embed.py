"""Patch embeddings for any number of input channels."""

import torch
from torch import Tensor


def inflate_channels(weight: Tensor, channels: int) -> Tensor:
    """Adapt the kernel of a patch embedding to another number of channels.

    Channel c takes the weights of channel c mod C_in, divided by the number
    of channels that share them (with fewer channels: their sum), so the
    embedding of an image with equal channels does not change.

    Args:
        weight: Kernel of the patch embedding, (D, C_in, p, p).
        channels: Number of input channels.

    Returns:
        (D, channels, p, p).
    """
    source = weight.shape[1]
    share = torch.zeros(source, channels)
    for i in range(max(source, channels)):
        share[i % source, i % channels] = 1
    share = share / share.sum(1, keepdim=True)
    return torch.einsum('dchw,ck->dkhw', weight, share.to(weight))
