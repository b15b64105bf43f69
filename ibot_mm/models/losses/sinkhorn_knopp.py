"""Sinkhorn-Knopp centering of the teacher's distributions."""

import torch
from mmengine.dist import all_reduce
from torch import Tensor


@torch.no_grad()
def sinkhorn_knopp(logits: Tensor,
                   temperature: float,
                   num_iters: int = 3) -> Tensor:
    """Distributions with equal total mass per prototype.

    Alternately scales exp(logits / temperature) so that all prototypes have
    equal sums over the tokens, and each token a sum of 1. SwAV (arXiv
    2006.09882, section 3.1) and DINOv2 (arXiv 2304.07193, section 4) use it
    in place of a moving center.

    Args:
        logits: Logits of this rank's M tokens, (M, K), float32. Ranks may
            have different M; tokens of all ranks count.
        temperature: Temperature of the teacher.
        num_iters: Number of iterations.

    Returns:
        (M, K); rows sum to 1.
    """
    # In log space: exponentials of outlier tokens would underflow. Common
    # factors (the numbers of tokens and of prototypes) cancel.
    log_q = logits / temperature
    for _ in range(num_iters):
        log_q = log_q - _logsumexp_of_all_ranks(log_q)
        log_q = log_q.log_softmax(1)
    return log_q.exp()


def _logsumexp_of_all_ranks(x: Tensor) -> Tensor:
    """log(sum(exp)) over the rows (M, K) of all ranks, (K,)."""
    peak = x.max(0).values if len(x) else x.new_full(x.shape[1:], -torch.inf)
    all_reduce(peak, op='max')
    total = (x - peak).exp().sum(0)
    all_reduce(total)
    return peak + total.log()
