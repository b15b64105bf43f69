"""Monitoring statistics of the teacher and student distributions."""

import torch
from mmengine.dist import all_reduce
from torch import Tensor


class PrototypeUsage:
    """Tracks which prototypes are the most likely one of some token.

    Args:
        num_prototypes: K.
    """

    def __init__(self, num_prototypes: int) -> None:
        self.used = torch.zeros(num_prototypes, dtype=torch.bool)

    def add(self, choices: Tensor) -> None:
        """Mark prototypes as used.

        Args:
            choices: Indices of prototypes, of any shape.
        """
        self.used = self.used.to(choices.device)
        self.used[choices.flatten()] = True

    def fraction_used(self, reset: bool = False) -> Tensor:
        """Fraction of the prototypes used on any rank, a scalar.

        Args:
            reset: Whether to restart counting.
        """
        used = self.used.float()
        if reset:
            self.used = torch.zeros_like(self.used)
        all_reduce(used, op='max')
        return used.mean()


@torch.no_grad()
def cls_statistics(log_p: Tensor, teacher: Tensor, cross_entropy: Tensor,
                   num_views: int,
                   views: slice | None) -> dict[str, Tensor]:
    """Contribution of a group of student views to the CLS statistics.

    The contributions of disjoint groups add up.

    Args:
        log_p: Log-probabilities of W student views, (W, B, K).
        teacher: Distributions of the G global views, (G, B, K).
        cross_entropy: Contribution of these views to the unweighted loss.
        num_views: Total number V of views per image.
        views: Indices of the W views among the global ones, to exclude pairs
            of a view with itself; None for local views.

    Returns:
        Means over the pairs of the loss: ``entropy_cls``, the entropy of the
        teacher in nats; ``kl_cls``, the Kullback-Leibler divergence in nats
        (cross-entropy = entropy + divergence); and ``agreement_cls``, the
        fraction of pairs with the same most likely prototype.
    """
    num_global, batch = teacher.shape[:2]
    agree = (log_p.argmax(-1).unsqueeze(0) == teacher.argmax(-1).unsqueeze(1)
             ).float()
    agreements, pairs = agree.sum(), num_global * len(log_p)
    if views is not None:
        agreements = agreements - agree[views].diagonal().sum()
        pairs -= len(log_p)
    all_pairs = num_global * (num_views - 1)
    entropy = torch.special.entr(teacher).sum(-1).mean() * pairs / all_pairs
    return dict(
        entropy_cls=entropy,
        kl_cls=cross_entropy - entropy,
        agreement_cls=agreements / (all_pairs * batch))


@torch.no_grad()
def patch_statistics(log_p: Tensor, teacher: Tensor, weight: Tensor,
                     cross_entropy: Tensor) -> dict[str, Tensor]:
    """Contribution of a group of masked patches to the patch statistics.

    Args:
        log_p: Log-probabilities of the student, (P, K).
        teacher: Distributions of the teacher, (P, K).
        weight: Weights of the patches in the loss, (P,).
        cross_entropy: Weighted sum of their cross-entropies.

    Returns:
        Weighted sums ``entropy_patch``, ``kl_patch`` and ``agreement_patch``
        (see :func:`cls_statistics`), and the sum of the weights,
        ``weight_patch``; an empty dict if no patch is masked.
    """
    if not len(teacher):
        return {}
    entropy = (torch.special.entr(teacher).sum(-1) * weight).sum()
    agree = (log_p.argmax(-1) == teacher.argmax(-1)).float()
    return dict(
        entropy_patch=entropy,
        kl_patch=cross_entropy - entropy,
        agreement_patch=(agree * weight).sum(),
        weight_patch=weight.sum())
