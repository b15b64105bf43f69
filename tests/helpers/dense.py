"""Dense reference implementation of the training step.

Takes the weights of an ``IBOT`` model and computes the losses as in the paper:
all tokens of all crops go through the projection head and the prototypes, all
pairs of views are visited in loops, and masks are multiplied in.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def _prototype_weight(layer) -> Tensor:
    return torch._weight_norm(layer.weight_v, layer.weight_g, 0)


def _head(neck, tokens: Tensor):
    """Logits of CLS (B, K) and patches (B, N, K) of tokens (B, 1 + N, C)."""
    z = F.normalize(neck.mlp(tokens), dim=-1)
    patch_layer = neck.last_layer2 or neck.last_layer
    return (z[:, 0] @ _prototype_weight(neck.last_layer).T,
            z[:, 1:] @ _prototype_weight(patch_layer).T)


def _tokens(backbone, crop: Tensor, mask=None) -> Tensor:
    cls, patch = backbone.extract_tokens(crop, mask)
    return torch.cat([cls.unsqueeze(1), patch], dim=1)


def dense_losses(model, global_crops: list[Tensor], local_crops: list[Tensor],
                 masks: list[Tensor]) -> dict[str, Tensor]:
    """Losses and new centers of one step.

    Args:
        model: An ``IBOT``.
        global_crops: (B, C, H, W) per global view.
        local_crops: (B, C, h, w) per local view; sizes may differ.
        masks: (B, h, w) per global view.

    Returns:
        ``loss_cls_global``, ``loss_cls_local``, ``loss_patch``, ``center``,
        ``patch_center``.
    """
    head = model.head
    with torch.no_grad():
        teacher = [
            _head(model.teacher.neck, _tokens(model.teacher.backbone, crop))
            for crop in global_crops
        ]
        cls_targets = [
            F.softmax((cls - head.center.value) / head.teacher_temp, -1)
            for cls, _ in teacher
        ]
        patch_targets = [
            F.softmax((patch - head.patch_center.value) /
                      head.teacher_patch_temp, -1) for _, patch in teacher
        ]
    student = [
        _head(model.neck, _tokens(model.backbone, crop, mask))
        for crop, mask in zip(global_crops, masks)
    ] + [
        _head(model.neck, _tokens(model.backbone, crop))
        for crop in local_crops
    ]

    student_temp = head.cls_loss.student_temp
    global_terms, local_terms, patch_terms = [], [], []
    for q, target in enumerate(cls_targets):
        for v, (cls, patch) in enumerate(student):
            if v == q:
                cross_entropy = -(patch_targets[q] * F.log_softmax(
                    patch / student_temp, -1)).sum(-1)
                mask = masks[v].flatten(1).float()
                per_image = (cross_entropy *
                             mask).sum(-1) / mask.sum(-1).clamp(min=1)
                patch_terms.append(per_image.mean())
            else:
                log_p = F.log_softmax(cls / student_temp, -1)
                terms = global_terms if v < len(masks) else local_terms
                terms.append((-target * log_p).sum(-1).mean())

    def moved(center, logits):
        mean = torch.cat([x.reshape(-1, x.shape[-1]) for x in logits]).mean(0)
        return center.momentum * center.value + (1 - center.momentum) * mean

    weight = head.loss_weight_cls / len(global_terms + local_terms)
    return dict(
        loss_cls_global=weight * sum(global_terms),
        loss_cls_local=weight * sum(local_terms),
        loss_patch=head.loss_weight_patch * sum(patch_terms) /
        len(patch_terms),
        center=moved(head.center, [c for c, _ in teacher]),
        patch_center=moved(head.patch_center, [p for _, p in teacher]))
