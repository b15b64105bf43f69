"""What the log says about teacher and student (no part of the loss)."""


import torch
from mmengine.dist import all_reduce
from torch import Tensor


class PrototypeUsage:
    """Which prototypes were some token's first choice, since the last reset.

    Args:
        num_prototypes: K.
    """

    def __init__(self, num_prototypes: int) -> None:
        self.used = torch.zeros(num_prototypes, dtype=torch.bool)

    def add(self, choices: Tensor) -> None:
        """Count first choices.

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
    """Statistics of the CLS tokens of some of the student's views.

    Values over disjoint groups of views add up to those over all.

    Args:
        log_p: Log-probabilities of W of the student's views, (W, B, K).
        teacher: Distributions of the G global views, (G, B, K).
        cross_entropy: What these views add to the mean over all pairs.
        num_views: Views V of an image in all.
        views: Which of the global views they are, which are not compared
            with themselves; None for local ones.

    Returns:
        In nats the mean entropy of the teacher, ``entropy_cls``, and the mean
        Kullback-Leibler divergence, ``kl_cls``, over the pairs of the loss
        (cross-entropy = entropy + divergence); and the share of those pairs
        whose first choices agree, ``agreement_cls``.
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
    """Statistics of masked patches; values of disjoint groups add up.

    Args:
        log_p: Log-probabilities of the student, (P, K).
        teacher: Distributions of the teacher, (P, K).
        weight: Weights of the patches in the loss, (P,).
        cross_entropy: Their cross-entropy, weighted and summed.

    Returns:
        ``entropy_patch``, ``kl_patch`` and ``agreement_patch``, as for the
        CLS tokens, as sums over the weights, and the sum of the weights,
        ``weight_patch``; nothing when no patch is masked.
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
