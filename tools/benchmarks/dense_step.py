"""Dense implementation of the training step, for comparisons of cost.

Computes the losses of ``IBOT.loss`` from the same weights, in the way of the
official code: one backbone pass per crop size, every token of every crop
through the projection head and the prototypes of student and teacher, centers
from all of these logits, and a log-softmax per pair of views.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@torch.no_grad()
def teacher_outputs(model: nn.Module, crops: Tensor) -> tuple[Tensor, Tensor]:
    """Teacher logits of all tokens of the global views."""
    teacher = model.teacher
    return teacher.neck(*teacher.backbone.extract_tokens(crops))


def student_outputs(model: nn.Module, inputs: dict) -> tuple[Tensor, Tensor]:
    """Student logits of all CLS tokens and of all global patches."""
    cls, patch = model.neck(*model.backbone.extract_tokens(
        inputs['global_crops'], inputs['mask']))
    all_cls = [cls]
    for crops in inputs['local_crops']:
        all_cls.append(model.neck(*model.backbone.extract_tokens(crops))[0])
    return torch.cat(all_cls), patch


@torch.no_grad()
def move_centers(head: nn.Module, cls: Tensor, patch: Tensor) -> None:
    """Update the moving averages of the teacher's logits."""
    head.center.lerp_(cls.mean(0), 1 - head.center_momentum)
    head.patch_center.lerp_(patch.flatten(0, 1).mean(0),
                            1 - head.patch_center_momentum)


def dense_loss(model: nn.Module, inputs: dict) -> dict[str, Tensor]:
    """Losses of ``IBOT.loss``; also updates the centers.

    Args:
        model: An ``IBOT``.
        inputs: Batch of ``multi_crop_collate`` with normalized crops.

    Returns:
        ``loss_cls`` and ``loss_patch``.
    """
    head, batch = model.head, inputs['batch_size']
    teacher_cls, teacher_patch = teacher_outputs(model,
                                                 inputs['global_crops'])
    student_cls, student_patch = student_outputs(model, inputs)

    cls_targets = F.softmax((teacher_cls - head.center) / head.teacher_temp,
                            -1).split(batch)
    patch_targets = F.softmax(
        (teacher_patch - head.patch_center) / head.teacher_patch_temp,
        -1).split(batch)
    student_cls = (student_cls / head.student_temp).split(batch)
    student_patch = (student_patch / head.student_temp).split(batch)
    masks = inputs['mask'].flatten(1).float().split(batch)

    cls_terms, patch_terms = [], []
    for q in range(len(cls_targets)):
        for v in range(len(student_cls)):
            if v == q:
                log_p = F.log_softmax(student_patch[v], -1)
                terms = -(patch_targets[q] * log_p).sum(-1) * masks[v]
                per_image = terms.sum(-1) / masks[v].sum(-1).clamp(min=1)
                patch_terms.append(per_image.mean())
            else:
                log_p = F.log_softmax(student_cls[v], -1)
                cls_terms.append(-(cls_targets[q] * log_p).sum(-1).mean())
    move_centers(head, teacher_cls, teacher_patch)
    return dict(
        loss_cls=head.loss_weight_cls * sum(cls_terms) / len(cls_terms),
        loss_patch=head.loss_weight_patch * sum(patch_terms) /
        len(patch_terms))
