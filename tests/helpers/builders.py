"""Small models and batches for the tests."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

from ibot_mm.datasets import multi_crop_collate
from ibot_mm.models import IBOT
from ibot_mm.models.heads.ibot_head import TeacherTargets

# Before 2.3, PyTorch supports float16 autocast and loss scaling on CUDA only.
needs_cpu_float16 = pytest.mark.skipif(
    not hasattr(torch.amp, 'GradScaler'),
    reason='this PyTorch has no float16 autocast on CPUs')

ARCH = dict(
    embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)

# Settings of a config that make a recipe's model tiny.
TINY_MODEL = dict(
    backbone=dict(arch=dict(_delete_=True, **ARCH)),
    neck=dict(
        in_channels=24,
        hidden_channels=32,
        bottleneck_channels=16,
        num_prototypes=32),
    head=dict(num_prototypes=32))


def model_config(**changes) -> dict:
    """Config of a tiny IBOT with changes per part, e.g. neck=dict(...)."""
    cfg = dict(
        type='ibot_mm.IBOT',
        data_preprocessor=dict(type='ibot_mm.MultiCropDataPreprocessor'),
        backbone=dict(
            type='ibot_mm.IBOTViT',
            arch=ARCH,
            img_size=32,
            patch_size=8,
            with_mask_token=True),
        neck=dict(
            type='ibot_mm.IBOTNeck',
            in_channels=24,
            hidden_channels=32,
            bottleneck_channels=16,
            num_prototypes=40,
            norm_last_layer=False),
        head=dict(type='ibot_mm.IBOTHead', num_prototypes=40))
    for part, values in changes.items():
        cfg[part] = {
            **cfg.get(part, {}),
            **values
        } if isinstance(values, dict) else values
    return cfg


def build_model(seed: int = 0, spread: float = 0.3, **changes) -> IBOT:
    """A tiny IBOT with nontrivial teacher, centers and biases."""
    torch.manual_seed(seed)
    cfg = model_config(**changes)
    cfg.pop('type')
    model = IBOT(**cfg)
    model.init_weights()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * spread *
                           parameter.std(correction=0).clamp(min=0.02))
        model.head.center.value.normal_(0, 0.1)
        model.head.patch_center.value.normal_(0, 0.1)
    return model


def wrap(model, **kwargs):
    """The optimizer wrapper of pre-training, with AdamW, for a model."""
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
        dict(
            type='ibot_mm.PretrainOptimWrapperConstructor',
            optim_wrapper_cfg=dict(
                optimizer=dict(type='AdamW', lr=1e-2, weight_decay=0.1),
                **kwargs)))
    return constructor(model)


def build_stepped(**changes):
    """A tiny IBOT, and its optimizer with moments that identify the weights.

    The first moment is twice the weight, the second its square. The last
    layer has taken one step, everything else two.
    """
    model = build_model(**changes)
    wrapper = build_optim_wrapper(
        model,
        dict(
            constructor='ibot_mm.PretrainOptimWrapperConstructor',
            optimizer=dict(type='AdamW', lr=0.1, weight_decay=0.04)))
    for frozen in (True, False):
        for name, parameter in model.named_parameters():
            skip = frozen and 'last_layer' in name
            if parameter.requires_grad and not skip:
                parameter.grad = torch.randn_like(parameter)
        wrapper.optimizer.step()
        wrapper.zero_grad()
    for parameter, state in wrapper.optimizer.state.items():
        state['exp_avg'] = parameter.detach() * 2
        state['exp_avg_sq'] = parameter.detach().square()
    return model, wrapper


def samples(batch: int,
            num_global: int = 2,
            local_sizes: Sequence[int] = (16, 16),
            mask_ratio: float = 0.4,
            seed: int = 0,
            size: int = 32,
            stride: int = 8) -> list:
    """Samples as from ``MultiCrop`` and ``MaskGlobalCrops``, but float32."""
    rng = np.random.default_rng(seed)

    def crop(side):
        return rng.normal(0, 1, (side, side, 3)).astype(np.float32)

    side = size // stride
    return [
        dict(
            global_crops=[crop(size) for _ in range(num_global)],
            local_crops=[crop(s) for s in local_sizes],
            # About a third of the images have no mask.
            masks=(rng.random((num_global, side, side)) < mask_ratio) &
            (rng.random((num_global, 1, 1)) < 0.67)) for _ in range(batch)
    ]


def batch(*args, **kwargs) -> dict:
    """A collated batch of :func:`samples`."""
    return multi_crop_collate(samples(*args, **kwargs))


def head_losses(head, student_cls, student_patch, teacher_cls, teacher_patch,
                weight) -> dict:
    """All losses of a head, with the CLS loss in groups of views.

    All patches are those of the first view.
    """
    num_global, num_views = len(teacher_cls), len(student_cls)
    nothing = [student_patch[:0]] * (num_global - 1)
    patch, weights = [student_patch, *nothing], [weight, *[weight[:0]] *
                                                 (num_global - 1)]
    target = TeacherTargets(teacher_cls, [teacher_patch, *nothing])
    parts = [
        head.loss(student_cls[i:i + 1], target, num_views, slice(i, i + 1),
                  patch[i:i + 1], weights[i:i + 1]) for i in range(num_global)
    ]
    if num_views > num_global:
        parts.append(head.loss(student_cls[num_global:], target, num_views))
    return {name: sum(part.get(name, 0) for part in parts)
            for name in {**parts[0], **parts[-1]}}


def cls_loss(losses: dict):
    """L_[CLS], the sum of its shares of local and global views."""
    return losses['loss_cls_global'] + losses.get('loss_cls_local', 0)
