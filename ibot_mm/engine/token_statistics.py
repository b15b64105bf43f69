"""Monitoring statistics of the teacher and student distributions."""

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from ibot_mm.models.heads.ibot_head import TeacherTargets

NAMES = tuple(f'{name}_{kind}' for kind in ('cls', 'patch')
              for name in ('entropy', 'kl', 'agreement'))


class PrototypeUsage:
    """Tracks which prototypes are the most likely one of some token."""

    def __init__(self) -> None:
        self.used: Tensor | None = None

    def add(self, distributions: Tensor) -> None:
        """Mark the most likely prototypes of distributions (..., K)."""
        if self.used is None:
            self.used = torch.zeros(
                distributions.shape[-1],
                dtype=torch.bool,
                device=distributions.device)
        self.used.index_fill_(0, distributions.argmax(-1).flatten(), True)

    def fraction_used(self) -> Tensor:
        """Fraction of the prototypes used on any rank since the last call.

        Returns:
            A scalar.
        """
        used, self.used = self.used.float(), None
        all_reduce(used, op='max')
        return used.mean()


class TokenStatistics:
    """Observer of ``IBOTHead`` that computes statistics for the log.

    Of CLS tokens, means over the pairs of the loss, and of masked patches,
    means with the weights of the loss:

    - ``entropy``: entropy of the teacher in nats;
    - ``kl``: Kullback-Leibler divergence of the student in nats
      (cross-entropy = entropy + divergence);
    - ``agreement``: fraction with the same most likely prototype.

    Attributes:
        usage: Prototypes in use, of ``cls`` and ``patch`` tokens.
    """

    def __init__(self) -> None:
        self.usage = dict(cls=PrototypeUsage(), patch=PrototypeUsage())
        self._sums: dict[str, Tensor] = {}

    def _add(self, **values: Tensor) -> None:
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0) + value

    def observe_targets(self, target: TeacherTargets) -> None:
        """See :class:`HeadObserver`."""
        self.usage['cls'].add(target.cls)
        for patch in target.patch:
            self.usage['patch'].add(patch)
        # Every global view is in the same number of pairs.
        self._add(entropy_cls=torch.special.entr(target.cls).sum(-1).mean())

    def observe_cls(self, student: Tensor, target: TeacherTargets,
                    loss: Tensor, num_views: int,
                    views: slice | None) -> None:
        """See :class:`HeadObserver`."""
        num_global, batch = target.cls.shape[:2]
        agree = (student.argmax(-1).unsqueeze(0) ==
                 target.cls.argmax(-1).unsqueeze(1)).float()
        agreements = agree.sum()
        if views is not None:
            agreements = agreements - agree[views].diagonal().sum()
        self._add(
            cross_entropy_cls=loss,
            agreement_cls=agreements / (num_global * (num_views - 1) * batch))

    def observe_patch(self, student: Tensor, teacher: Tensor, weight: Tensor,
                      loss: Tensor) -> None:
        """See :class:`HeadObserver`."""
        agree = (student.argmax(-1) == teacher.argmax(-1)).float()
        self._add(
            cross_entropy_patch=loss,
            entropy_patch=(torch.special.entr(teacher).sum(-1) * weight).sum(),
            agreement_patch=(agree * weight).sum(),
            weight_patch=weight.sum())

    def compute(self) -> dict[str, Tensor]:
        """Statistics of the iteration, which are then forgotten.

        Returns:
            A scalar per name in ``NAMES``; NaN for patches if none is masked.
        """
        sums, self._sums = self._sums, {}
        weight = sums['weight_patch']
        for name in ('cross_entropy', 'entropy', 'agreement'):
            sums[f'{name}_patch'] = sums[f'{name}_patch'] / weight
        for kind in ('cls', 'patch'):
            sums[f'kl_{kind}'] = (
                sums[f'cross_entropy_{kind}'] - sums[f'entropy_{kind}'])
        return {name: sums[name] for name in NAMES}
