"""iBOT: image BERT pre-training with an online tokenizer."""

from collections.abc import Sequence
from copy import deepcopy

import torch
from mmengine.config import Config
from mmpretrain.models.selfsup import BaseSelfSupervisor
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from ibot_mm.distributed.dtensor import to_local
from ibot_mm.models.heads.ibot_head import TeacherTargets
from ibot_mm.models.layers.compilation import compile_parts
from ibot_mm.models.layers.precision import autocast_dtype
from ibot_mm.registry import MODELS
from ibot_mm.structures import CropBatch, GlobalView, merge_views

from .pass_accumulator import PassAccumulator


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
            on it. 'auto' is None on a GPU with room for all activations,
            which takes half the kernel launches, and (1, 5) elsewhere. Not
            used, so that all views of a kind go together, if the neck has
            batch statistics, which cover all tokens of a call, in float16,
            and without ``accumulate_passes``.
        accumulate_passes: Whether to run the backward pass of each view group
            before the next forward pass. Disabled in float16, where the
            gradients would miss the loss scale; ``ShardedStrategy`` needs
            False.
        compile_blocks: Arguments of ``torch.compile`` for the transformer
            blocks of student and teacher and the losses, which it fuses into
            few passes over the logits; None for no compilation; 'auto' for
            its defaults on GPUs with PyTorch 2.5 or later. Checkpoints do not
            depend on it.
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
                 views_per_pass: tuple[int, int] | str | None = None,
                 accumulate_passes: bool = True,
                 compile_blocks: dict | str | None = 'auto',
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
        width = self.backbone.block_widths[-1]
        if neck.get('in_channels', width) != width:
            raise ValueError(
                f'IBOT: neck.in_channels ({neck["in_channels"]}) differs from '
                f'the width of the backbone ({width}); set '
                f'model.neck.in_channels={width}.')
        for key, center in (('num_prototypes', self.head.center),
                            ('num_patch_prototypes', self.head.patch_center)):
            if len(center.value) != getattr(self.neck, key):
                raise ValueError(
                    f'IBOT: head.{key} ({len(center.value)}) differs from '
                    f'neck.{key} ({getattr(self.neck, key)}).')
        self.koleo = MODELS.build(
            dict(dict(type='ibot_mm.KoLeoLoss'), **koleo)) if koleo else None
        if views_per_pass not in (None, 'auto') and (
                isinstance(views_per_pass, str) or min(views_per_pass) < 1):
            raise ValueError("IBOT: views_per_pass must be 'auto' or two "
                             f'numbers of 1 or more, got {views_per_pass}.')
        self.views_per_pass = (
            None if self.neck.uses_batch_statistics else views_per_pass)
        self._passes = self.views_per_pass  # without 'auto' after a step
        self.accumulate_passes = accumulate_passes
        self.teacher = nn.ModuleDict(dict(
            backbone=MODELS.build({
                **deepcopy(backbone), 'with_mask_token': False,
                'drop_path_rate': 0.,
                'init_cfg': None,
                **(teacher_backbone or {})
            }),
            neck=MODELS.build({**deepcopy(neck), **(teacher_neck or {})})))
        self.teacher.requires_grad_(False)
        self.reset_teacher()
        compile_parts(
            (*self.backbone.blocks, *self.teacher.backbone.blocks,
             self.head.cls_loss, self.head.patch_loss), compile_blocks)

    def init_weights(self) -> None:
        """Initialize the student and copy its weights to the teacher."""
        super().init_weights()
        self.reset_teacher()

    def reset_teacher(self) -> None:
        """Copy the student's weights and buffers to the teacher.

        With separate prototypes in the student and shared ones in the
        teacher, the teacher's prototype layer starts from the student's patch
        layer, as in the official code, whose loader writes that layer last.
        """
        backbone = self.backbone.state_dict()
        backbone.pop('mask_token', None)
        self.teacher.backbone.load_state_dict(backbone)
        student, teacher = self.neck, self.teacher.neck
        teacher.mlp.load_state_dict(student.mlp.state_dict())
        cls_layer = (student.patch_layer
                     if teacher.shared_head else student.last_layer)
        teacher.last_layer.load_state_dict(cls_layer.state_dict())
        teacher.patch_layer.load_state_dict(student.patch_layer.state_dict())

    def student_parameters(self) -> list[nn.Parameter]:
        """Parameters of the student."""
        return [*self.backbone.parameters(), *self.neck.parameters()]

    def last_layer_parameters(self) -> list[nn.Parameter]:
        """Parameters of the student's prototypes, for freezing them."""
        layers = nn.ModuleList([self.neck.last_layer, self.neck.patch_layer])
        return list(layers.parameters())

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
    def teacher_targets(self, views: Sequence[GlobalView]) -> TeacherTargets:
        """Distributions of the teacher, which sees the views unmasked.

        Also collects its logits for the next update of the centers.
        """
        merged = merge_views(views)
        neck = self.teacher.neck
        cls, patch = self.teacher.backbone.extract_tokens(merged.crops)
        z = neck.project(torch.cat([cls, patch.flatten(0, 1)]))
        z_cls, z_patch = z[:len(cls)], z[len(cls):]
        # The prototype layer is linear without bias: the mean of its outputs
        # is its output at the mean, so only masked patches need their logits.
        cls_logits, patch_logits = neck.logits(
            z_cls, torch.cat([z_patch[merged.mask_index],
                              z_patch.mean(0, keepdim=True)]))
        self.head.collect_centers(cls_logits, patch_logits[-1], len(z_patch))
        return self.head.targets(cls_logits, patch_logits[:-1],
                                 [len(view.mask_index) for view in views])

    def local_losses(self, crops: Tensor, target: TeacherTargets,
                     num_views: int) -> dict[str, Tensor]:
        """Losses of W local views of one size, (W, B, C_in, h, w)."""
        cls = self.backbone.extract_cls(crops.flatten(0, 1))
        logits, _ = self.neck(cls)
        return self.head.loss(
            logits.unflatten(0, crops.shape[:2]), target, num_views)

    def global_losses(self, all_views: Sequence[GlobalView], group: slice,
                      target: TeacherTargets,
                      num_views: int) -> dict[str, Tensor]:
        """Losses of a group of the global views."""
        views = all_views[group]
        merged = merge_views(views)
        cls, patch = self.backbone.extract_tokens(merged.crops, merged.mask)
        cls_logits, patch_logits = self.neck(cls, patch.flatten(0, 1),
                                             merged.mask_index)
        losses = self.head.loss(
            cls_logits.unflatten(0, (len(views), -1)), target, num_views,
            group,
            patch_logits.split([len(view.mask_index) for view in views]),
            [view.mask_weight for view in views])
        if self.koleo is not None:
            losses['loss_koleo'] = len(views) / len(all_views) * self.koleo(
                cls.unflatten(0, (len(views), -1)))
        return losses

    def _fitting_passes(self, inputs: CropBatch) -> tuple[int, int] | None:
        """Numbers of views for the memory of the device."""
        views = inputs.global_views
        crops = views[0].crops
        if not crops.is_cuda:
            return 1, 5
        # The larger of both kinds of passes.
        share = max(1, *(local.numel() / (len(views) * crops.numel())
                         for local in inputs.local_crops), 0)
        tokens = share * len(views) * views[0].mask.numel()
        widths = self.backbone.block_widths
        # A block of half the width has four times the tokens (Swin).
        values = tokens * sum(widths[-1]**2 / width for width in widths)
        # 36 bytes each in bfloat16, up to twice as many in float32: see
        # tools/benchmarks/trace_step.py. Logits are in float32, with their
        # softmax and gradients; so are gradients and AdamW's moments, which
        # the first step does not have yet.
        needed = values * (72 if autocast_dtype('cuda') is None else 36)
        needed += 16 * self.neck.num_prototypes * sum(
            len(view.mask_index) + len(view.crops) for view in views)
        needed += 12 * sum(p.numel() for p in self.student_parameters())
        free, _ = torch.cuda.mem_get_info(crops.device)
        return None if needed < 0.6 * free else (1, 5)

    def loss(self,
             inputs: CropBatch,
             data_samples: list[DataSample] | None = None
             ) -> dict[str, Tensor]:
        """L_[CLS] + L_MIM (paper, equations 2 and 3) of one batch.

        ``tests/helpers/dense.py`` writes out the same step without the
        savings.

        Args:
            inputs: Normalized crops.
            data_samples: Not used.

        Returns:
            ``loss_cls_local`` and ``loss_cls_global``, whose sum is L_[CLS],
            ``loss_patch``, and ``loss_koleo`` if configured.
        """
        views, num_views = inputs.global_views, inputs.num_views
        target = self.teacher_targets(views)
        total = PassAccumulator(
            self.student_parameters(),
            enabled=self.accumulate_passes and torch.is_grad_enabled()
            and autocast_dtype(target.cls.device.type) != torch.float16)
        if self._passes == 'auto':
            self._passes = self._fitting_passes(inputs)
        # Passes without a backward pass in between would save nothing.
        num_global, num_local = (total.enabled and self._passes
                                 or (len(views), None))
        for crops in inputs.local_crops:
            for group in crops.split(num_local or len(crops)):
                total.add(self.local_losses, group, target, num_views)
        # Last, because they have the most activations: by now, nothing but
        # gradients is left of the other passes.
        for start in range(0, len(views), num_global):
            group = slice(start, start + num_global)
            total.add(self.global_losses, views, group, target, num_views)
        return total.losses()

    @property
    def _config(self) -> Config:
        """The config, where MMPretrain's ``get_model`` has built the model."""
        if '_config' not in vars(self):
            raise AttributeError('_config')
        return vars(self)['_config']

    @_config.setter
    def _config(self, config: Config) -> None:
        # MMPretrain's inferencers read the pipeline of test images here, and
        # a pre-training has no test.
        if not config.get('test_dataloader'):
            validation = config.get('val_dataloader') or dict(
                dataset=dict(pipeline=config.get('test_pipeline')))
            config.test_dataloader = dict(
                dataset=dict(pipeline=validation['dataset']['pipeline']))
        vars(self)['_config'] = config
