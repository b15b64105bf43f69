"""iBOT: image BERT pre-training with an online tokenizer."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial

import torch
from mmengine.model import BaseModule
from mmpretrain.models.selfsup import BaseSelfSupervisor
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from ibot_mm.distributed.dtensor import to_local
from ibot_mm.models.layers.precision import autocast_dtype
from ibot_mm.registry import MODELS

from .pass_accumulator import PassAccumulator


class Teacher(BaseModule):
    """Exponential moving average of the student, without gradients.

    Args:
        backbone: Config of the backbone.
        neck: Config of the projection head.
    """

    def __init__(self, backbone: dict, neck: dict) -> None:
        super().__init__()
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck)
        self.requires_grad_(False)


@MODELS.register_module()
class IBOT(BaseSelfSupervisor):
    """iBOT (arXiv 2111.07832).

    The student sees masked global views and local views, the teacher sees the
    unmasked global views. ``TeacherEMAHook`` calls ``update_teacher`` after
    each optimizer step.

    Args:
        backbone: Config of the student's backbone (``IBOTViT`` or
            ``IBOTSwin`` with ``with_mask_token=True``).
        neck: Config of the student's ``IBOTNeck``.
        head: Config of ``IBOTHead``.
        teacher_neck: Settings of the teacher's neck that differ from the
            student's, e.g. ``dict(shared_head=True)`` for the semi-shared
            heads of the official command line.
        teacher_backbone: The same for the backbone; mask token and drop path
            are always off.
        koleo: Config of ``KoLeoLoss``, a regularizer on the student's CLS
            tokens of the global views; None to disable it, as in the paper.
        views_per_pass: Maximum numbers of global and of local views per
            forward pass of the student; None for all of a kind. The backward
            pass of each group runs before the next forward pass, so only one
            group's activations are alive. Losses and gradients do not depend
            on it. Global views are not split when the neck uses batch
            statistics.
        accumulate_passes: Whether to run the backward pass of each view group
            before the next forward pass. Disabled in float16, where the
            gradients would miss the loss scale; ``ShardedStrategy`` needs
            False.
        compile_blocks: Arguments of ``torch.compile`` for the transformer
            blocks of student and teacher, e.g. ``dict(mode='default')``; None
            for no compilation. Checkpoints do not depend on it.
        data_preprocessor: Config of ``MultiCropDataPreprocessor``.
        init_cfg: As in :class:`mmengine.model.BaseModule`.
    """

    def __init__(self,
                 backbone: dict,
                 neck: dict,
                 head: dict,
                 teacher_neck: dict | None = None,
                 teacher_backbone: dict | None = None,
                 koleo: dict | None = None,
                 views_per_pass: tuple[int, int] | None = None,
                 accumulate_passes: bool = True,
                 compile_blocks: dict | None = None,
                 data_preprocessor: dict | nn.Module | None = None,
                 init_cfg: dict | None = None) -> None:
        if data_preprocessor is None:
            data_preprocessor = dict(type='ibot_mm.MultiCropDataPreprocessor')
        super().__init__(
            backbone=MODELS.build(deepcopy(backbone)),
            neck=MODELS.build(deepcopy(neck)),
            head=MODELS.build(deepcopy(head)),
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg)
        for key, center in (('num_prototypes', self.head.center),
                            ('num_patch_prototypes', self.head.patch_center)):
            if len(center) != getattr(self.neck, key):
                raise ValueError(
                    f'IBOT: head.{key} ({len(center)}) differs from '
                    f'neck.{key} ({getattr(self.neck, key)}).')
        self.koleo = MODELS.build(
            dict(dict(type='ibot_mm.KoLeoLoss'), **koleo)) if koleo else None
        if views_per_pass is not None and min(views_per_pass) < 1:
            raise ValueError('IBOT: views_per_pass must be two numbers of 1 '
                             f'or more, got {views_per_pass}.')
        self.views_per_pass = views_per_pass
        self.accumulate_passes = accumulate_passes
        self.teacher = Teacher(
            deepcopy({
                **backbone, 'with_mask_token': False,
                'drop_path_rate': 0.,
                'init_cfg': None,
                **(teacher_backbone or {})
            }), deepcopy({
                **neck,
                **(teacher_neck or {})
            }))
        self.reset_teacher()
        if compile_blocks is not None:
            for block in (*self.backbone.blocks,
                          *self.teacher.backbone.blocks):
                block.compile(**compile_blocks)

    def init_weights(self) -> None:
        """Initialize the student and copy its weights to the teacher."""
        super().init_weights()
        self.reset_teacher()

    @torch.no_grad()
    def reset_teacher(self) -> None:
        """Copy the student's weights and buffers to the teacher.

        With separate prototypes in the student and shared ones in the
        teacher, the teacher's prototype layer starts from the student's patch
        layer, as in the official code, whose loader writes that layer last.
        """
        student = {
            **{f'backbone.{k}': v for k, v in
               self.backbone.state_dict().items()},
            **{f'neck.{k}': v for k, v in self.neck.state_dict().items()}
        }
        for name, value in self.teacher.state_dict().items():
            if 'neck.last_layer' in name:
                patch_name = name.replace('last_layer.', 'last_layer2.')
                if self.teacher.neck.shared_head and patch_name in student:
                    name = patch_name
                elif name not in student:
                    name = name.replace('last_layer2.', 'last_layer.')
            if student[name].shape != value.shape:
                raise ValueError(
                    f'IBOT: the teacher cannot start from the student: '
                    f'"{name}" is {tuple(student[name].shape)} in the student '
                    f'and {tuple(value.shape)} in the teacher.')
            value.copy_(student[name])

    def ema_pairs(self) -> tuple[list[Tensor], list[Tensor]]:
        """Teacher parameters and the student parameters of the same names.

        Parameters that only one network has are left out: the student's mask
        token, and a patch layer in one neck only.
        """
        student = dict(self.named_parameters())
        pairs = [(parameter, student[name])
                 for name, parameter in self.teacher.named_parameters()
                 if name in student]
        teacher_parameters, student_parameters = zip(*pairs)
        return list(teacher_parameters), list(student_parameters)

    @torch.no_grad()
    def update_teacher(self, momentum: float) -> None:
        """Update the teacher: theta_t <- m theta_t + (1 - m) theta_s.

        Args:
            momentum: m.
        """
        teacher, student = self.ema_pairs()
        torch._foreach_lerp_(
            to_local(teacher), to_local(student), 1 - momentum)

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """CLS tokens of the teacher for full images.

        Args:
            inputs: Normalized images, (B, C_in, H, W).

        Returns:
            (B, C).
        """
        return self.teacher.backbone.extract_cls(inputs)

    @torch.no_grad()
    def _teacher_targets(self, crops: Tensor,
                         mask_index: Tensor) -> dict[str, Tensor]:
        """Teacher distributions ``cls`` (M, K) and ``patch`` (P, K_patch).

        Also collects the logits for the next update of the centers.
        """
        neck = self.teacher.neck
        cls, patch = self.teacher.backbone.extract_tokens(crops)
        z = neck.project(torch.cat([cls, patch.flatten(0, 1)]))
        z_cls, z_patch = z[:len(cls)], z[len(cls):]
        # The prototype layer is linear without bias: the mean of its outputs
        # is its output at the mean, so only masked patches need their logits.
        cls_logits, patch_logits = neck.logits(
            z_cls, torch.cat([z_patch[mask_index],
                              z_patch.mean(0, keepdim=True)]))
        self.head.collect_centers(cls_logits, patch_logits[-1], len(z_patch))
        return self.head.teacher_distributions(cls_logits, patch_logits[:-1])

    def _local_losses(self, crops: Tensor, teacher_cls: Tensor,
                      num_views: int) -> dict[str, Tensor]:
        """CLS loss terms of a group of local views (W B, C_in, h, w)."""
        cls = self.backbone.extract_cls(crops)
        logits = self.neck.cls_logits(self.neck.project(cls))
        return self.head.cls_loss(
            logits.unflatten(0, (-1, teacher_cls.shape[1])), teacher_cls,
            num_views)

    def _global_losses(self, inputs: dict, target: dict[str, Tensor],
                       views: slice, num_views: int) -> dict[str, Tensor]:
        """CLS, patch and KoLeo loss terms of a group of global views."""
        batch, grid = inputs['batch_size'], inputs['mask'].shape[1:].numel()
        images = slice(views.start * batch, views.stop * batch)
        counts = inputs['masked_per_view']
        masked = slice(sum(counts[:views.start]), sum(counts[:views.stop]))
        index = inputs['mask_index'][masked] - images.start * grid

        cls, patch = self.backbone.extract_tokens(
            inputs['global_crops'][images], inputs['mask'][images])
        patch = patch.flatten(0, 1)
        if self.neck.uses_batch_statistics:
            # Batch statistics cover all tokens of a call, and the official
            # code calls its head once per crop size.
            z = self.neck.project(torch.cat([cls, patch]))
            z_cls, z_patch = z[:len(cls)], z[len(cls):][index]
        else:
            z = self.neck.project(torch.cat([cls, patch[index]]))
            z_cls, z_patch = z[:len(cls)], z[len(cls):]
        cls_logits, patch_logits = self.neck.logits(z_cls, z_patch)
        losses = self.head.cls_loss(
            cls_logits.unflatten(0, (-1, batch)), target['cls'], num_views,
            views)
        losses.update(
            self.head.patch_loss(patch_logits, target['patch'][masked],
                                 inputs['mask_weight'][masked]))
        if self.koleo is not None:
            fraction = (views.stop - views.start) / len(counts)
            losses['loss_koleo'] = fraction * self.koleo(
                cls.unflatten(0, (-1, batch)))
        return losses

    def _passes(self, inputs: dict, target: dict[str, Tensor]
                ) -> list[Callable[[], dict[str, Tensor]]]:
        """One function per student pass, each returning its loss terms."""
        batch, num_global = inputs['batch_size'], len(target['cls'])
        at_once, local_at_once = self.views_per_pass or (num_global, None)
        if self.neck.uses_batch_statistics:
            at_once, local_at_once = num_global, None
        local = [
            part for crops in inputs['local_crops'] for part in crops.split(
                local_at_once * batch if local_at_once else len(crops))
        ]
        num_views = num_global + sum(map(len, inputs['local_crops'])) // batch
        # Global views, which have the most activations, come last: what the
        # earlier passes leave behind is only gradients.
        passes: list[Callable] = [
            partial(self._local_losses, crops, target['cls'], num_views)
            for crops in local
        ]
        for start in range(0, num_global, at_once):
            views = slice(start, min(start + at_once, num_global))
            passes.append(
                partial(self._global_losses, inputs, target, views,
                        num_views))
        return passes

    def loss(self,
             inputs: dict,
             data_samples: list[DataSample] | None = None
             ) -> dict[str, Tensor]:
        """L_[CLS] + L_MIM (paper, equations 2 and 3) of one batch.

        ``tests/dense.py`` writes out the same step without splitting views.

        Args:
            inputs: Batch of ``multi_crop_collate`` with normalized crops.
            data_samples: Not used.

        Returns:
            ``loss_cls``, ``loss_patch``, ``loss_koleo`` if configured, and
            the statistics of ``IBOTHead.monitor``.
        """
        target = self._teacher_targets(inputs['global_crops'],
                                       inputs['mask_index'])
        target['cls'] = target['cls'].unflatten(0, (-1, inputs['batch_size']))
        device = inputs['global_crops'].device.type
        accumulator = None
        if (self.accumulate_passes and torch.is_grad_enabled()
                and autocast_dtype(device) != torch.float16):
            accumulator = PassAccumulator(
                [*self.backbone.parameters(), *self.neck.parameters()])
        *first, last = self._passes(inputs, target)
        losses: dict[str, Tensor] = {}
        for student_pass in first:
            part = student_pass()
            if accumulator is not None:
                accumulator.add(
                    sum(v for k, v in part.items() if 'loss' in k))
                part = {name: value.detach() for name, value in part.items()}
            add_up(losses, part)
        if accumulator is not None and losses:
            losses['loss_cls'] = accumulator.attach(losses['loss_cls'])
        add_up(losses, last())
        self.head.finish_statistics(losses)
        return losses


def add_up(total: dict[str, Tensor], part: dict[str, Tensor]) -> None:
    """Add the values of ``part`` to those of ``total``, in place."""
    for name, value in part.items():
        total[name] = total[name] + value if name in total else value
