"""What a run consists of, in a few lines."""

from collections.abc import Iterator
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.device import get_device
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.optim import _ParamScheduler
from mmengine.runner import BaseLoop, IterBasedTrainLoop
from torch import nn

from ibot_mm.checkpoints.unread import pretrained_cfg
from ibot_mm.distributed.unwrap import unwrapped_model
from ibot_mm.engine.schedulers.unreached import NO_END, unreached
from ibot_mm.registry import HOOKS

from .teacher_ema_hook import TeacherEMAHook

# Attributes of schedulers to show.
SHOWN = ('begin', 'end', 'warmup', 'start_factor', 'eta_min', 'eta_min_ratio',
         'eta_end', 'power', 'milestones', 'gamma')


@HOOKS.register_module()
class RunSummaryHook(Hook):
    """Log data, model, weights, batch, length and schedules of a run.

    Warns of schedules that are longer than the run.
    """

    # After the hooks that fit their settings to the run.
    priority = 'VERY_LOW'

    def before_train(self, runner) -> None:
        """Log the summary of a training."""
        loops = dict(train=runner.train_loop, val=runner.val_loop)
        _log(runner, {**_data(loops), **_model(runner), **_training(runner)})
        for sentence in unreached(runner.param_schedulers or [],
                                  runner.max_epochs, runner.max_iters):
            runner.logger.warning(sentence)

    def before_val(self, runner) -> None:
        """Log the summary of a validation without training."""
        if not isinstance(runner._train_loop, BaseLoop):
            _log(runner, {**_data(dict(val=runner.val_loop)),
                          **_model(runner)})

    def before_test(self, runner) -> None:
        """Log the summary of a test."""
        _log(runner, {**_data(dict(test=runner.test_loop)), **_model(runner)})


def _log(runner, lines: dict[str, str]) -> None:
    lines = {**lines, 'work dir': runner.work_dir, 'log file':
             f'{runner.logger.log_file} (environment, config and hooks, too)'}
    runner.logger.info('Summary of the run\n' + '\n'.join(
        f'  {name:12} {text}' for name, text in lines.items()))


def _data(loops: dict[str, Any]) -> dict[str, str]:
    """Images, classes and place of the data of each loop."""
    lines = {}
    for name, loop in loops.items():
        dataset = getattr(getattr(loop, 'dataloader', None), 'dataset', None)
        if dataset is not None:
            classes = getattr(dataset, 'metainfo', {}).get('classes')
            place = getattr(dataset, 'ann_file', '')
            if not place and isinstance(dataset, BaseDataset):
                place = next(iter(dataset.data_prefix.values()), '')
            lines[f'{name} data'] = (
                f'{len(dataset)} {getattr(dataset, "unit", "images")}'
                + (f' of {len(classes)} classes' if classes else '')
                + (f' in {place}' if place else ''))
    return lines


def _model(runner) -> dict[str, str]:
    """Parameters of the model's parts, and where its weights are from."""
    model = unwrapped_model(runner)
    parts = ', '.join(
        f'{name} {_size(part.parameters())}'
        for name, part in model.named_children() if list(part.parameters()))
    trained = _size(p for p in model.parameters() if p.requires_grad)
    sources = [f'{name} from {cfg.get("checkpoint")}'
               for name, part in model.named_modules()
               if (cfg := pretrained_cfg(part))]
    if runner._load_from:
        sources = [f'{"resumed" if runner._resume else "loaded"} from '
                   f'{runner._load_from}']
    return dict(
        model=f'{type(model).__name__}: {parts} parameters; {trained} trained',
        weights=', '.join(sources) or 'random')


def _size(parameters: Iterator[nn.Parameter]) -> str:
    number = sum(p.numel() for p in parameters)
    return f'{number / 1e6:.1f} M' if number >= 1e5 else f'{number:,}'


def _training(runner) -> dict[str, str]:
    """Batch, length, optimizer and schedules of a training."""
    wrapper = runner.optim_wrapper
    # The loader's own is None with MMDetection's samplers.
    batch = runner.train_dataloader.batch_sampler.batch_size
    processes = get_world_size()
    accumulation = getattr(wrapper, 'accumulative_counts', 1)
    length = f'{runner.max_iters} iterations'
    if not isinstance(runner.train_loop, IterBasedTrainLoop):
        length = (f'{runner.max_epochs} epochs x '
                  f'{len(runner.train_dataloader)} = {length}')
    lines = dict(
        batch=f'{batch * processes * accumulation} images = {batch} x '
        f'{processes} ({get_device()})'
        + (f' x {accumulation} accumulated' if accumulation > 1 else ''),
        length=length, optimizer=type(wrapper.optimizer).__name__
        + f', {getattr(wrapper, "dtype", None) or "float32"}')
    for scheduler in runner.param_schedulers or []:
        name = scheduler.param_name
        start = f'{max(scheduler.base_values):.4g}, '
        lines[name] = (f'{lines[name]}, ' if name in lines else start) + (
            _schedule(scheduler))
    for hook in runner.hooks:
        if isinstance(hook, TeacherEMAHook):
            lines['momentum'] = (f'{hook.momentum:.5g} to '
                                 f'{hook.end_momentum:g} (teacher)')
    return lines


def _schedule(scheduler: _ParamScheduler) -> str:
    values = {key: getattr(scheduler, key, None) for key in SHOWN}
    if values['milestones']:
        values['milestones'] = sorted(values['milestones'])
    shown = ', '.join(f'{key}={value}' for key, value in values.items()
                      if value is not None and value not in (0, NO_END))
    unit = 'epochs' if scheduler.by_epoch else 'iterations'
    return f'{type(scheduler).__name__}({shown}) in {unit}'
