"""Patch embeddings for other numbers of channels and other patch sizes."""

import torch
from torch import Tensor

from .pos_embed import resize_matrix


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


def resize_kernel(weight: Tensor, size: tuple[int, int]) -> Tensor:
    """Adapt the kernel of a patch embedding to another patch size.

    With the matrix M that resizes a patch (bicubic, antialiased), the result
    is the least-squares solution w' of <w', M x> = <w, x> for all patches x
    (FlexiViT, arXiv 2212.08013, section 3.4).

    Args:
        weight: Kernel of the patch embedding, (D, C_in, p, q).
        size: Patch size (p', q').

    Returns:
        (D, C_in, p', q').
    """
    matrix = resize_matrix(tuple(weight.shape[2:]), tuple(size), 'bicubic',
                           0., weight.device, antialias=True)
    # It has the precision of float32.
    inverse = torch.linalg.pinv(matrix, rtol=1e-5)
    resized = weight.flatten(2).double() @ inverse
    return resized.unflatten(2, size).to(weight.dtype)
