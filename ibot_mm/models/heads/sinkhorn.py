"""Sinkhorn-Knopp centring of the teacher's distributions."""

import torch
from mmengine.dist import all_reduce
from torch import Tensor


@torch.no_grad()
def sinkhorn_knopp(logits: Tensor,
                   temperature: float,
                   num_iters: int = 3) -> Tensor:
    """Distributions that use all prototypes equally.

    exp(logits / temperature) is scaled in turns so that the prototypes have
    equal sums over all tokens, and the tokens sums of 1. In place of the
    moving centre in SwAV (arXiv 2006.09882, section 3.1) and DINOv2
    (arXiv 2304.07193, section 4).

    Args:
        logits: Logits of this rank's M tokens, (M, K), float32. Ranks may
            have different M; tokens of all ranks count.
        temperature: Of the teacher.
        num_iters: Turns.

    Returns:
        (M, K); rows sum to 1.
    """
    scaled = logits / temperature
    # A common factor cancels; the largest entry becomes 1.
    peak = scaled.max() if scaled.numel() else scaled.new_tensor(-torch.inf)
    all_reduce(peak, op='max')
    q = (scaled - peak).exp_()
    count = q.new_tensor(float(len(q)))
    all_reduce(count)
    # The tiny number keeps a prototype that no token is near at 0, not NaN.
    tiny = torch.finfo(q.dtype).tiny
    for _ in range(num_iters):
        prototype_sums = q.sum(0)
        all_reduce(prototype_sums)
        q /= prototype_sums.clamp_(min=tiny) * (q.shape[1] / count)
        q /= q.sum(1, keepdim=True).clamp_(min=tiny)
    return q
