"""Settings of a pre-training for given images and a given machine.

The rules start from the published recipe (docs/schedules.md) and scale it to
fewer images, smaller batches and smaller images. Those that nobody has
measured say so in docs/pretrain.md.
"""

import math
from typing import Any, NamedTuple

from .batch_split import Batch, choose_batch, image_seconds, power_of_two
from .commented_config import Choice, Code
from .image_survey import ImageSurvey
from .machine import Machine
from .step_probe import StepProbe

# Width and number of layers.
ARCHS = dict(tiny=(192, 12), small=(384, 12), base=(768, 12),
             large=(1024, 24))
LOCAL_CROPS = 10


class Options(NamedTuple):
    """What the user asks for; None leaves it to the rules.

    Attributes:
        arch: 'tiny', 'small', 'base' or 'large'.
        init: Checkpoint whose backbone the training starts from.
        backbone: Config of that backbone, from its weights.
        batch: Images per optimizer step, over all GPUs.
        epochs: Number of epochs.
        hours: Time that the training may take, instead of ``epochs``.
    """

    arch: str | None = None
    init: str | None = None
    backbone: dict[str, Any] | None = None
    batch: int | None = None
    epochs: int | None = None
    hours: float | None = None


def crop_sizes(short_side: int, patch: int | None = None
               ) -> tuple[int, int, int]:
    """Sizes of global and local crops, and of patches, in pixels.

    224, 96 and 16 as published, where the images are as large; smaller
    images keep the ratio, with patches of 8 below 160 pixels.
    """
    patch = patch or (16 if short_side >= 160 else 8)
    most = 224 // patch * patch
    crop = min(max(short_side // patch * patch, 4 * patch), most)
    local = max(round(crop * 96 / 224 / patch), 2) * patch
    return crop, local, patch


def choose_epochs(options: Options, survey: ImageSurvey, machine: Machine,
                  batch: Batch, workers: int, probe: StepProbe | None
                  ) -> Choice:
    """Number of epochs, by the number of images or the hours."""
    if options.epochs:
        return Choice(options.epochs, '--epochs.')
    if options.hours:
        if probe is None:
            return Choice(1, 'not measured yet.')
        image = image_seconds(probe, workers, batch)
        epochs = int(options.hours * 3600 / (survey.count * image))
        return Choice(max(epochs, 1), (
            f'{options.hours:g} hours at {1 / image:,.0f} images/s, measured '
            f'with {survey.count:,} images per epoch'
            + ('.' if epochs else ': not enough for one epoch.')))
    rule = 800 * (survey.count / 1000)**-0.45
    epochs = round(min(max(rule, 100), 800))
    reason = ('few images need more epochs: 800 at 1,000, 284 at 10,000, 100 '
              'from 100,000 on.')
    if options.init:
        epochs, reason = epochs // 4, (
            'a quarter of a training from random weights: ' + reason)
    return Choice(epochs, reason)


def recipe(survey: ImageSurvey, machine: Machine, options: Options,
           out: str, folder: str, probe: StepProbe | None = None
           ) -> dict[str, Any]:
    """Settings, with reasons, that a config file inherits the rest of.

    Args:
        survey: Of the images.
        machine: This one.
        options: The user's.
        out: Folder of the run.
        folder: Of the images.
        probe: Measured steps; None before there is a config to measure.

    Returns:
        Assignments for :func:`commented`.
    """
    arch = options.arch or ('small' if machine.gpus else 'tiny')
    width, depth = ARCHS[arch]
    crop, local, patch = crop_sizes(survey.short_side)
    if options.backbone:
        layers = options.backbone['arch']
        width, depth = layers['embed_dims'], layers['num_layers']
        crop, local, patch = crop_sizes(survey.short_side,
                                        options.backbone['patch_size'])
    large = width >= 768
    tokens = 2 * (crop // patch)**2 + LOCAL_CROPS * (local // patch)**2
    single = not machine.gpus  # float32
    batch, why_batch, why_accumulate = choose_batch(
        options.batch, survey, machine, probe,
        tokens * width * depth * (72 if single else 36))
    workers = min(max(machine.cpus // batch.processes - 1, 1), 12)
    epochs = choose_epochs(options, survey, machine, batch, workers, probe)
    steps = survey.count // (batch.size * batch.processes)
    prototypes = power_of_two(survey.count / 5, 1024, 8192)
    rate = (7.5e-4 if large else 5e-4) * batch.total / 256
    why_rate = (f'{7.5e-4 if large else 5e-4:g} x {batch.total} / 256, the '
                'published rule')
    if options.init:
        rate, why_rate = rate / 2, (
            f'half of {why_rate}; layers below the heads get less')
    return {
        'work_dir': out,
        'model': dict(
            backbone=_backbone(options, arch, machine, crop, patch, survey),
            neck=dict(
                in_channels=width,
                norm_last_layer=Choice(
                    large, "the official code's advice for this size."),
                num_prototypes=Choice(prototypes, (
                    f'a fifth of {survey.count:,} images, from 1,024 to the '
                    'published 8,192 (a power of two).'))),
            head=dict(num_prototypes=prototypes),
            **_normalization(survey)),
        **_pipeline(survey, crop, local, patch),
        'train_dataloader': dict(
            batch_size=Choice(batch.size, why_batch),
            num_workers=Choice(workers, (
                f'{machine.cpus} CPUs / {batch.processes}, less one for the '
                'process itself; 12 feed a GPU.')),
            pin_memory=bool(machine.gpus),
            dataset=dict(
                data_root=folder,
                pipeline=Code('[load_image, multi_crop, masks]'))),
        'optim_wrapper': dict(
            optimizer=dict(lr=Choice(rate, f'{why_rate}.')),
            clip_grad=dict(max_norm=Choice(
                0.3 if large else 3.0, 'published for this size.')),
            dtype=Choice('float32' if single else 'bfloat16', (
                'of the forward pass; CPUs are fastest in it.' if single else
                'of the forward pass.')),
            accumulative_counts=Choice(batch.accumulation, why_accumulate)),
        'auto_scale_lr': dict(base_batch_size=batch.total),
        'param_scheduler': Code(
            '[\n    # At most a tenth of the run; a fifth with existing '
            'weights.\n    dict(_base_.param_scheduler[0], '
            f'warmup={_warmup(epochs.value, bool(options.init))}),\n'
            '    _base_.param_scheduler[1]]'),
        'default_hooks': dict(
            teacher_ema=_teacher(options, epochs.value, batch),
            teacher_temperature=_temperature(epochs.value, batch.total),
            freeze_last_layer=dict(epochs=min(3 if large else 1,
                                              epochs.value - 1)),
            **_heads_alone(options, epochs.value), **_intervals(steps)),
        'train_cfg': dict(max_epochs=epochs),
    }


def _tenth(epochs: int) -> int:
    return math.ceil(epochs / 10) if epochs > 1 else 0


def _warmup(epochs: int, continued: bool) -> int:
    return min(10, (1 + continued) * _tenth(epochs), epochs // 2)


def _heads_alone(options: Options, epochs: int) -> dict[str, Any]:
    if not options.init:
        return {}
    return dict(freeze_backbone=dict(epochs=Choice(
        _tenth(epochs), 'new heads learn alone for a tenth of the run.')))


def _backbone(options: Options, arch: str, machine: Machine, crop: int,
              patch: int, survey: ImageSurvey) -> dict[str, Any]:
    size = dict(
        img_size=Choice(crop, (
            f'of the global crops: the images have {survey.short_side} '
            'pixels in their shorter sides (median); at most the published '
            '224.')),
        patch_size=Choice(patch, (
            "as in the weights." if options.backbone else
            '16 as published, 8 for crops below 160 pixels.')))
    if not options.backbone:
        why = ('--arch.' if options.arch else
               'the smallest published network.' if machine.gpus else
               'without a GPU, larger ones take days.')
        return dict(arch=Choice(arch, why), **size,
                    in_channels=_channels(survey))
    rest = {k: v for k, v in options.backbone.items()
            if k not in ('type', 'arch', 'img_size', 'patch_size',
                         'with_mask_token', 'in_channels')}
    return dict(
        arch=dict(_delete_=True, **options.backbone['arch']), **rest, **size,
        in_channels=_channels(survey),
        init_cfg=Choice(
            dict(type='Pretrained', checkpoint=options.init,
                 resize_positions=True, **(
                     {} if options.backbone['in_channels'] == _channels(survey)
                     else dict(inflate=True))),
            '--init: student and teacher start from it.'))


def _channels(survey: ImageSurvey) -> int:
    return survey.channels if survey.channels > 4 else 3


def _normalization(survey: ImageSurvey) -> dict[str, Any]:
    if survey.channels <= 4:
        return {}
    return dict(data_preprocessor=dict(
        mean=Choice(survey.mean, 'of the sampled images.'), std=survey.std,
        to_rgb=False))


def _pipeline(survey: ImageSurvey, crop: int, local: int, patch: int
              ) -> dict[str, Any]:
    load, color = Code('_base_.load_image'), ''
    if survey.channels > 4:
        load = dict(type='ibot_mm.LoadImage', color='unchanged',
                    channels=Choice(survey.channels, 'as most images have.'))
        # Saturation, hue and gray are defined for colors only.
        color = ', jitter=(0.4, 0.4, 0., 0.), gray_prob=0.'
    return {
        'load_image': load,
        'multi_crop': Code(f'''dict(
    type='ibot_mm.MultiCrop',
    global_crops=[
        dict(size={crop}, scale=(0.25, 1.0), blur_prob=1.0{color}),
        dict(size={crop}, scale=(0.25, 1.0), blur_prob=0.1,
             solarize_prob=0.2{color}),
    ],
    # As large in proportion to the global crops as the published 96 to 224.
    local_crops=[
        dict(num={LOCAL_CROPS}, size={local}, scale=(0.05, 0.25),
             blur_prob=0.5{color})])'''),
        'masks': Code(f'dict(_base_.masks, patch_size={patch})')}


def _teacher(options: Options, epochs: int, batch: Batch) -> dict[str, Any]:
    momentum = round(0.996**(batch.total / 1024), 6)
    settings: dict[str, Any] = dict(momentum=Choice(momentum, (
        f'0.996 ^ ({batch.total} / 1024): it averages over as many images as '
        'the published one.')))
    if options.init:
        settings['still_epochs'] = _tenth(epochs)
    return settings


def _temperature(epochs: int, total: int) -> dict[str, Any]:
    warmup = min(30, math.ceil(0.3 * epochs))
    if total >= 256:
        return dict(warmup_epochs=Choice(
            warmup, '30 as published, at most 30 % of the run.'))
    return dict(
        teacher_temp=Choice(0.04, (
            "as at the start of the published runs, whose rise to 0.07 is for "
            'batches of 1,024: with few images per step, sharp targets keep '
            'the distributions from staying uniform.')),
        teacher_patch_temp=0.04, warmup_epochs=warmup)


def _intervals(steps: int) -> dict[str, Any]:
    """A line of the log per epoch, where it is short."""
    interval = min(max(steps, 5), 50)
    return {name: dict(interval=interval) for name in (
        'runtime_info', 'logger', 'training_health', 'data_wait')}
