"""iBOT head: centering, temperatures and both cross-entropies."""

import torch
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from torch import Tensor

from ibot_mm.models.losses.sinkhorn_knopp import sinkhorn_knopp
from ibot_mm.models.losses.token_statistics import (
    PrototypeUsage,
    cls_statistics,
    patch_statistics,
)
from ibot_mm.registry import MODELS


@MODELS.register_module()
class IBOTHead(BaseModule):
    """L_[CLS] and L_MIM of the paper (equations 2 and 3).

    The cross-entropy is linear in the teacher's distribution, so each student
    view needs one log-softmax against the sum of the distributions of the
    other teacher views, instead of one per pair of views.

    Args:
        num_prototypes: Prototypes K of the CLS tokens.
        num_patch_prototypes: Prototypes of the patch tokens; K if None.
        student_temp: Temperature of the student.
        teacher_temp: Temperature of the teacher for CLS tokens at the start;
            ``TeacherTemperatureHook`` changes it during training.
        teacher_patch_temp: The same for patch tokens.
        center_momentum: Momentum of the center of the CLS logits.
        patch_center_momentum: Momentum of the center of the patch logits.
        loss_weight_cls: Weight lambda_1 of the CLS loss.
        loss_weight_patch: Weight lambda_2 of the patch loss.
        centering: 'centering' as in the paper, or 'sinkhorn_knopp'
            (:func:`sinkhorn_knopp`), which replaces both centers.
        init_cfg: As in :class:`mmengine.model.BaseModule`.

    Attributes:
        monitor: Whether the losses include statistics for the log;
            ``TrainingHealthHook`` sets it in some iterations.

    Raises:
        ValueError: ``centering`` is unknown.
    """

    def __init__(self,
                 num_prototypes: int = 8192,
                 num_patch_prototypes: int | None = None,
                 student_temp: float = 0.1,
                 teacher_temp: float = 0.04,
                 teacher_patch_temp: float = 0.04,
                 center_momentum: float = 0.9,
                 patch_center_momentum: float = 0.9,
                 loss_weight_cls: float = 1.0,
                 loss_weight_patch: float = 1.0,
                 centering: str = 'centering',
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if centering not in ('centering', 'sinkhorn_knopp'):
            raise ValueError("IBOTHead: centering must be 'centering' or "
                             f"'sinkhorn_knopp', got {centering!r}.")
        self.centering = centering
        self.student_temp = student_temp
        self.teacher_temp = teacher_temp
        self.teacher_patch_temp = teacher_patch_temp
        self.center_momentum = center_momentum
        self.patch_center_momentum = patch_center_momentum
        self.loss_weight_cls = loss_weight_cls
        self.loss_weight_patch = loss_weight_patch
        self.register_buffer('center', torch.zeros(num_prototypes))
        self.register_buffer(
            'patch_center',
            torch.zeros(num_patch_prototypes or num_prototypes))
        # Sums and counts of logits since the last update. Not a buffer: it
        # must be neither saved nor broadcast.
        self._pending: Tensor | None = None
        self.monitor = False
        self.usage = dict(
            cls=PrototypeUsage(len(self.center)),
            patch=PrototypeUsage(len(self.patch_center)))

    def teacher_distributions(self, cls_logits: Tensor,
                              patch_logits: Tensor) -> dict[str, Tensor]:
        """Centered and sharpened distributions of the teacher.

        Args:
            cls_logits: (M, K), float32; overwritten.
            patch_logits: (P, K_patch), float32; overwritten.

        Returns:
            ``cls`` (M, K) and ``patch`` (P, K_patch); rows sum to 1.
        """
        if self.centering == 'sinkhorn_knopp':
            cls = sinkhorn_knopp(cls_logits, self.teacher_temp)
            patch = sinkhorn_knopp(patch_logits, self.teacher_patch_temp)
        else:
            cls = cls_logits.sub_(self.center).div_(
                self.teacher_temp).softmax(-1)
            patch = patch_logits.sub_(self.patch_center).div_(
                self.teacher_patch_temp).softmax(-1)
        if self.monitor:
            self.usage['cls'].add(cls.argmax(-1))
            self.usage['patch'].add(patch.argmax(-1))
        return dict(cls=cls, patch=patch)

    def cls_loss(self,
                 student: Tensor,
                 teacher: Tensor,
                 num_views: int,
                 views: slice | None = None) -> dict[str, Tensor]:
        """Contribution of a group of student views to L_[CLS].

        The contributions of disjoint groups add up to the loss.

        Args:
            student: Logits of the CLS tokens of W views, (W, B, K), float32.
            teacher: Distributions of the G global views, (G, B, K).
            num_views: Total number V of views per image.
            views: Indices of the W views among the global ones, to exclude
                pairs of a view with itself; None for local views.

        Returns:
            ``loss_cls``, a scalar; with ``monitor`` also the statistics of
            ``cls_statistics``.

        Raises:
            ValueError: There is only one view.
        """
        num_global, batch = teacher.shape[:2]
        if num_views < 2:
            raise ValueError(
                'IBOTHead: the CLS loss compares views of an image, so it '
                f'needs at least 2 crops, got {num_views}.')
        log_p = (student / self.student_temp).log_softmax(-1)
        # All pairs (teacher view q, student view v) except q == v.
        total = -(log_p.sum(0) * teacher.sum(0)).sum()
        if views is not None:
            total = total + (log_p * teacher[views]).sum()
        loss = total / (num_global * (num_views - 1) * batch)
        losses = dict(loss_cls=self.loss_weight_cls * loss)
        if self.monitor:
            losses.update(
                cls_statistics(log_p.detach(), teacher, loss.detach(),
                               num_views, views))
        return losses

    def patch_loss(self, student: Tensor, teacher: Tensor,
                   weight: Tensor) -> dict[str, Tensor]:
        """L_MIM over a group of masked patches.

        Args:
            student: Logits of the masked patches of the global views, (P,
                K_patch), float32.
            teacher: Distributions of the same patches, (P, K_patch).
            weight: Weight of each masked patch in the mean over images, (P,):
                1 / (masked patches of its image x G x B), so that an image
                without masks contributes 0 and is still counted.

        Returns:
            ``loss_patch``, a scalar; with ``monitor`` also the statistics of
            ``patch_statistics``. Values of disjoint groups add up.
        """
        log_p = (student / self.student_temp).log_softmax(-1)
        loss = -((log_p * teacher).sum(-1) * weight).sum()
        losses = dict(loss_patch=self.loss_weight_patch * loss)
        if self.monitor:
            losses.update(
                patch_statistics(log_p.detach(), teacher, weight,
                                 loss.detach()))
        return losses

    @staticmethod
    def finish_statistics(losses: dict[str, Tensor]) -> None:
        """Divide the sums over masked patches by their weight, in place."""
        weight = losses.pop('weight_patch', None)
        if weight is not None:
            for name in ('entropy_patch', 'kl_patch', 'agreement_patch'):
                losses[name] = losses[name] / weight

    @torch.no_grad()
    def collect_centers(self, cls_logits: Tensor, patch_mean: Tensor,
                        num_patches: int) -> None:
        """Accumulate teacher logits for the next :meth:`update_centers`.

        Args:
            cls_logits: Logits of all CLS tokens of the step, (M, K).
            patch_mean: Mean logits of all patch tokens, masked or not,
                (K_patch,).
            num_patches: Number of these patch tokens.
        """
        if self.centering != 'centering':
            return
        seen = torch.cat([
            cls_logits.sum(0), patch_mean * num_patches,
            cls_logits.new_full((1, ), len(cls_logits)),
            cls_logits.new_full((1, ), num_patches)
        ])
        self._pending = seen if self._pending is None else self._pending.add_(
            seen)

    @torch.no_grad()
    def update_centers(self) -> None:
        """Update both centers from the logits collected on all ranks.

        Called after each optimizer step; without collected logits it does
        nothing.
        """
        if self._pending is None:
            return
        all_reduce(self._pending)
        sizes = [len(self.center), len(self.patch_center), 1, 1]
        cls_sum, patch_sum, num_cls, num_patches = self._pending.split(sizes)
        self.center.lerp_(cls_sum / num_cls, 1 - self.center_momentum)
        self.patch_center.lerp_(patch_sum / num_patches,
                                1 - self.patch_center_momentum)
        self._pending = None

    def discard_centers(self) -> None:
        """Drop the collected logits, after a skipped step."""
        self._pending = None
