"""Dense implementation of the training step, for comparisons of cost.

Computes the losses of ``IBOT.loss`` from the same weights, in the way of the
official code: one backbone pass per crop size, every token of every crop
through the projection head and the prototypes of student and teacher, centers
from all of these logits, and a log-softmax per pair of views.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ibot_mm.structures import CropBatch


def all_logits(neck: nn.Module, cls: Tensor,
               patch: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of CLS tokens (B, C) and of all patch tokens (B, N, C)."""
    cls_logits, patch_logits = neck(cls, patch.flatten(0, 1))
    return cls_logits, patch_logits.unflatten(0, patch.shape[:2])


@torch.no_grad()
def move_center(center: nn.Module, logits: Tensor) -> None:
    """Update a moving average of the teacher's logits."""
    center.value.lerp_(logits.flatten(0, -2).mean(0), 1 - center.momentum)


def dense_loss(model: nn.Module, inputs: CropBatch) -> dict[str, Tensor]:
    """Losses of ``IBOT.loss``; also updates the centers.

    Args:
        model: An ``IBOT``.
        inputs: Normalized crops.

    Returns:
        ``loss_cls_global``, ``loss_patch`` and, with local crops,
        ``loss_cls_local``.
    """
    head, views = model.head, inputs.global_views
    batch = len(views[0].crops)
    crops = torch.cat([view.crops for view in views])
    masks = torch.cat([view.mask for view in views])
    with torch.no_grad():
        teacher_cls, teacher_patch = all_logits(
            model.teacher.neck, *model.teacher.backbone.extract_tokens(crops))
    global_cls, student_patch = all_logits(
        model.neck, *model.backbone.extract_tokens(crops, masks))
    all_cls = [global_cls]
    for local in inputs.local_crops:
        all_cls.append(all_logits(
            model.neck,
            *model.backbone.extract_tokens(local.flatten(0, 1)))[0])

    student_temp = head.cls_loss.student_temp
    cls_targets = F.softmax(
        (teacher_cls - head.center.value) / head.teacher_temp,
        -1).split(batch)
    patch_targets = F.softmax(
        (teacher_patch - head.patch_center.value) / head.teacher_patch_temp,
        -1).split(batch)
    student_cls = (torch.cat(all_cls) / student_temp).split(batch)
    student_patch = (student_patch / student_temp).split(batch)
    masks = masks.flatten(1).float().split(batch)

    global_terms, local_terms, patch_terms = [], [], []
    for q in range(len(cls_targets)):
        for v in range(len(student_cls)):
            if v == q:
                log_p = F.log_softmax(student_patch[v], -1)
                terms = -(patch_targets[q] * log_p).sum(-1) * masks[v]
                per_image = terms.sum(-1) / masks[v].sum(-1).clamp(min=1)
                patch_terms.append(per_image.mean())
            else:
                log_p = F.log_softmax(student_cls[v], -1)
                terms = global_terms if v < len(views) else local_terms
                terms.append(-(cls_targets[q] * log_p).sum(-1).mean())
    move_center(head.center, teacher_cls)
    move_center(head.patch_center, teacher_patch)
    weight = head.loss_weight_cls / len(global_terms + local_terms)
    losses = dict(
        loss_cls_global=weight * sum(global_terms),
        loss_patch=head.loss_weight_patch * sum(patch_terms) /
        len(patch_terms))
    if local_terms:
        losses['loss_cls_local'] = weight * sum(local_terms)
    return losses
