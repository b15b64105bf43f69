"""iBOT head: the teacher's distributions and both cross-entropies."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from mmengine.model import BaseModule
from torch import Tensor

from ibot_mm.models.losses import Center, DINOLoss, IBOTPatchLoss
from ibot_mm.models.losses.sinkhorn_knopp import sinkhorn_knopp
from ibot_mm.registry import MODELS


class TeacherTargets(NamedTuple):
    """Distributions of the teacher.

    Attributes:
        cls: CLS tokens of the G global views, (G, B, K).
        patch: Masked patches, one tensor (P, K_patch) per global view.
    """

    cls: Tensor
    patch: Sequence[Tensor]


class HeadObserver(Protocol):
    """What ``IBOTHead.observer`` is told, without gradients."""

    def observe_targets(self, target: TeacherTargets) -> None:
        """Once per forward pass of the teacher."""

    def observe_cls(self, student: Tensor, target: TeacherTargets,
                    loss: Tensor, num_views: int,
                    views: slice | None) -> None:
        """Per group of student views; ``loss`` is unweighted."""

    def observe_patch(self, student: Tensor, teacher: Tensor, weight: Tensor,
                      loss: Tensor) -> None:
        """Per global view; ``loss`` is unweighted."""


@MODELS.register_module()
class IBOTHead(BaseModule):
    """L_[CLS] and L_MIM of the paper (equations 2 and 3).

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
        observer: Told about targets and losses if not None;
            ``TrainingHealthHook`` attaches one in some iterations.

    Raises:
        ValueError: ``centering`` is unknown, or a value is out of range.
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
        temperatures = dict(student_temp=student_temp,
                            teacher_temp=teacher_temp,
                            teacher_patch_temp=teacher_patch_temp)
        for name, value in temperatures.items():
            if not value > 0:
                raise ValueError(
                    f'IBOTHead: {name} must be positive, got {value}.')
        self.centering = centering
        self.teacher_temp = teacher_temp
        self.teacher_patch_temp = teacher_patch_temp
        self.loss_weight_cls = loss_weight_cls
        self.loss_weight_patch = loss_weight_patch
        self.center = Center(num_prototypes, center_momentum)
        self.patch_center = Center(num_patch_prototypes or num_prototypes,
                                   patch_center_momentum)
        self.cls_loss = DINOLoss(student_temp)
        self.patch_loss = IBOTPatchLoss(student_temp)
        self.observer: HeadObserver | None = None

    @torch.no_grad()
    def targets(self, cls_logits: Tensor, patch_logits: Tensor,
                patches_per_view: Sequence[int]) -> TeacherTargets:
        """Centered and sharpened distributions of the teacher.

        Args:
            cls_logits: CLS tokens of the G global views, (G B, K), float32;
                overwritten.
            patch_logits: Masked patches of all views, (P, K_patch), float32;
                overwritten.
            patches_per_view: Numbers of masked patches of the G views.
        """
        if self.centering == 'sinkhorn_knopp':
            cls = sinkhorn_knopp(cls_logits, self.teacher_temp)
            patch = sinkhorn_knopp(patch_logits, self.teacher_patch_temp)
        else:
            cls = cls_logits.sub_(self.center.value).div_(
                self.teacher_temp).softmax(-1)
            patch = patch_logits.sub_(self.patch_center.value).div_(
                self.teacher_patch_temp).softmax(-1)
        target = TeacherTargets(
            cls.unflatten(0, (len(patches_per_view), -1)),
            patch.split(list(patches_per_view)))
        if self.observer is not None:
            self.observer.observe_targets(target)
        return target

    def loss(self,
             cls_logits: Tensor,
             target: TeacherTargets,
             num_views: int,
             views: slice | None = None,
             patch_logits: Sequence[Tensor] = (),
             mask_weights: Sequence[Tensor] = ()) -> dict[str, Tensor]:
        """Contribution of a group of student views; those of all add up.

        Args:
            cls_logits: CLS tokens of W views, (W, B, K), float32.
            target: Distributions of the teacher.
            num_views: Number of all views per image.
            views: Positions of the W views among the global ones; None for
                local views.
            patch_logits: Of global views, the masked patches, one tensor (P,
                K_patch), float32, per view.
            mask_weights: Their weights, one tensor (P,) per view.

        Returns:
            ``loss_cls_local``, or ``loss_cls_global`` and ``loss_patch``;
            scalars, times their weights.
        """
        loss = self.cls_loss(cls_logits, target.cls, num_views, views)
        if self.observer is not None:
            self.observer.observe_cls(cls_logits.detach(), target,
                                      loss.detach(), num_views, views)
        loss = self.loss_weight_cls * loss
        if views is None:
            return dict(loss_cls_local=loss)
        patch_losses = []
        for student, teacher, weight in zip(patch_logits, target.patch[views],
                                            mask_weights):
            patch_losses.append(self.patch_loss(student, teacher, weight))
            if self.observer is not None:
                self.observer.observe_patch(student.detach(), teacher, weight,
                                            patch_losses[-1].detach())
        return dict(
            loss_cls_global=loss,
            loss_patch=self.loss_weight_patch * sum(patch_losses))

    def collect_centers(self, cls_logits: Tensor, patch_mean: Tensor,
                        num_patches: int) -> None:
        """Collect logits of the teacher for the next :meth:`update_centers`.

        Args:
            cls_logits: All CLS tokens of the step, (G B, K).
            patch_mean: Mean of all patch tokens, masked or not, (K_patch,).
            num_patches: Number of these patch tokens.
        """
        if self.centering == 'centering':
            self.center.collect(cls_logits.mean(0), len(cls_logits))
            self.patch_center.collect(patch_mean, num_patches)

    def update_centers(self) -> None:
        """Update both centers, after an optimizer step."""
        self.center.update()
        self.patch_center.update()

    def discard_centers(self) -> None:
        """Drop what was collected, after a skipped step."""
        self.center.discard()
        self.patch_center.discard()
