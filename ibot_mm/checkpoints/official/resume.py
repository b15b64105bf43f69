"""A checkpoint that a run resumes from, made of an official one.

Official files count epochs only, so the steps of an epoch are inferred.
"""

import math
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.optim import OptimWrapper, _ParamScheduler, build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from torch import nn
from torch.optim import Adam, AdamW

from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.checkpoints.strict import load_strict
from ibot_mm.registry import MODELS

from .optimizer import from_official_optimizer, number_states
from .state_dict import from_official_checkpoint


def steps_taken(checkpoint: dict[str, Any]) -> int:
    """Steps of a parameter that was never frozen, as Adam counted them."""
    states = checkpoint['optimizer']['state'].values()
    return max((int(state['step']) for state in states), default=0)


def steps_of_weight_decay(checkpoint: dict[str, Any]) -> int | None:
    """Steps of an epoch, from the weight decay that the last step had.

    On a cosine over T epochs of n steps the last step of epoch E is at
    x = (E n - 1) / (T n) of the run, and so n = 1 / (E - x T).

    Args:
        checkpoint: A full official one; its ``args`` describe the cosine.

    Returns:
        n, or None where the file does not tell.
    """
    args, epoch = checkpoint.get('args'), checkpoint['epoch']
    try:
        start, end = args.weight_decay, args.weight_decay_end
        now = checkpoint['optimizer']['param_groups'][0]['weight_decay']
        x = math.acos(2 * (now - end) / (start - end) - 1) / math.pi
        steps = 1 / (epoch - x * args.epochs)
    except (AttributeError, TypeError, ValueError, ZeroDivisionError):
        return None
    # Close to the end of the run rounding leaves no integer.
    return round(steps) if abs(steps - round(steps)) < 0.1 else None


def steps_of_epoch(checkpoint: dict[str, Any],
                   given: int | None = None) -> int:
    """Optimizer steps of an epoch of an official run.

    Adam's count says so, except in float16, where it lacks the steps that the
    loss scaler skipped.

    Args:
        checkpoint: A full official one.
        given: The number, if it is known.

    Raises:
        CheckpointError: The file does not tell, or contradicts ``given``.
    """
    epoch, taken = checkpoint['epoch'], steps_taken(checkpoint)
    steps = given
    if given is None and checkpoint.get('fp16_scaler'):
        steps = steps_of_weight_decay(checkpoint)
    elif given is None and taken % epoch == 0:
        steps = taken // epoch
    # A scaler skips few steps: a tenth, and some to find its first scale.
    if not steps or not 0 <= steps * epoch - taken <= 50 + taken // 10:
        reason = 'do not tell how many an epoch has' if given is None else (
            f'contradict an epoch of {given}')
        raise CheckpointError(
            f'{taken} steps of Adam in {epoch} epochs {reason}: give '
            '--epoch-length, the images divided by the batch of all GPUs, '
            'rounded down.')
    return steps


class Rates(NamedTuple):
    """Learning rate and weight decay of the decayed parameters."""

    lr: float
    weight_decay: float


class Continuation(NamedTuple):
    """What :func:`continue_official` found.

    Attributes:
        checkpoint: What ``Runner.resume`` reads.
        iterations: Iterations of an epoch.
        official: Rates of the file's last step; None if it does not say.
        planned: Rates of that step in the schedules of the config.
        scaler: Whether the state of the loss scaler was 'kept', 'left out' or
            is 'absent'.
    """

    checkpoint: dict[str, Any]
    iterations: int
    official: Rates | None
    planned: Rates
    scaler: str


def _check(checkpoint: dict[str, Any], cfg: Config) -> None:
    """Raise if no run can continue from the file with this config."""
    for key in ('student', 'teacher', 'optimizer', 'epoch', 'ibot_loss'):
        if not checkpoint.get(key):
            raise CheckpointError(
                f'the checkpoint has no "{key}", so that no run can continue '
                'from it: convert its weights, without --config.')
    epochs = cfg.train_cfg.get('max_epochs', 0)
    if checkpoint['epoch'] >= epochs:
        raise CheckpointError(
            f'the checkpoint has {checkpoint["epoch"]} finished epochs and '
            f'the config trains {epochs}: raise train_cfg.max_epochs.')


def _schedulers(cfg: Config, wrapper: OptimWrapper,
                iterations: int) -> list[_ParamScheduler]:
    """The schedulers of the config, as the Runner would build them."""
    epochs = cfg.train_cfg.max_epochs
    configs = cfg.get('param_scheduler') or []
    schedulers = []
    for config in configs if isinstance(configs, list) else [configs]:
        by_epoch = config.get('by_epoch', True)
        end = epochs if by_epoch else epochs * iterations
        scheduler = PARAM_SCHEDULERS.build(
            {'end': end, **config},
            default_args=dict(optimizer=wrapper, epoch_length=iterations))
        if not hasattr(scheduler, 'position'):
            raise CheckpointError(
                f'param_scheduler of the config has {config["type"]}, whose '
                'position cannot be set: use WarmupCosineLR and '
                'CosineWeightDecay.')
        schedulers.append(scheduler)
    return schedulers


def _move(schedulers: list[_ParamScheduler], wrapper: OptimWrapper, epoch: int,
          iteration: int) -> Rates:
    """Set the rates of an iteration."""
    for scheduler in schedulers:
        scheduler.load_state_dict(
            scheduler.position(epoch if scheduler.by_epoch else iteration))
    group = wrapper.param_groups[0]
    return Rates(group['lr'], group['weight_decay'])


def _official_rates(checkpoint: dict[str, Any]) -> Rates | None:
    group = checkpoint['optimizer']['param_groups'][0]
    rates = Rates(group.get('lr'), group.get('weight_decay'))
    return rates if all(isinstance(x, (int, float)) for x in rates) else None


def _adam_state(checkpoint: dict[str, Any], model: nn.Module,
                wrapper: OptimWrapper) -> dict[int, dict]:
    """The file's state by number, in the order of the wrapper."""
    if not isinstance(wrapper.optimizer, (Adam, AdamW)):
        raise CheckpointError(
            'optim_wrapper.optimizer of the config is '
            f'{type(wrapper.optimizer).__name__}, which cannot continue with '
            'the state of AdamW: use AdamW.')
    parameters = dict(model.named_parameters())
    states = from_official_optimizer(
        checkpoint, [k for k, v in parameters.items() if v.requires_grad])
    names = {id(parameter): name for name, parameter in parameters.items()}
    return number_states(states, [[names[id(p)] for p in group['params']]
                                  for group in wrapper.param_groups])


def _optimizer(checkpoint: dict[str, Any], adam: dict[int, dict],
               wrapper: OptimWrapper) -> tuple[dict[str, Any], str]:
    """``optimizer`` of the checkpoint, and what became of the scaler."""
    result = dict(wrapper.state_dict(), state=adam)
    # The scaler just built knows nothing: without one, the run's own stays.
    result.pop('loss_scaler', None)
    scaler = checkpoint.get('fp16_scaler')
    if not scaler:
        return result, 'absent'
    if getattr(wrapper, 'loss_scaler', None) is None:
        return result, 'left out'
    return dict(result, loss_scaler=scaler), 'kept'


def continue_official(checkpoint: dict[str, Any],
                      cfg: Config,
                      epoch_length: int | None = None) -> Continuation:
    """Make what ``Runner.resume`` continues an official run from.

    Model, optimizer wrapper and schedulers are built from the config, without
    its data: weights and Adam's state come from the file, settings such as
    betas and schedules from the config. Schedulers get their position alone,
    so that the run that continues applies its own scaling of the rates.

    Args:
        checkpoint: A full official one.
        cfg: Config of the pre-training that shall continue.
        epoch_length: Optimizer steps of an epoch, where the file does not
            tell (:func:`steps_of_epoch`).

    Raises:
        CheckpointError: File and config do not fit together.
    """
    _check(checkpoint, cfg)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    model = MODELS.build(cfg.model)
    load_strict(model, from_official_checkpoint(checkpoint), 'the checkpoint')

    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    adam = _adam_state(checkpoint, model, wrapper)
    epoch = checkpoint['epoch']
    accumulation = cfg.optim_wrapper.get('accumulative_counts', 1)
    iterations = steps_of_epoch(checkpoint, epoch_length) * accumulation
    done = epoch * iterations
    schedulers = _schedulers(cfg, wrapper, iterations)
    planned = _move(schedulers, wrapper, epoch - 1, done - 1)
    _move(schedulers, wrapper, epoch, done)
    optimizer, scaler = _optimizer(checkpoint, adam, wrapper)
    return Continuation(
        dict(
            state_dict=model.state_dict(),
            meta=dict(source='official iBOT', epoch=epoch, iter=done),
            message_hub=dict(
                log_scalars={}, runtime_info={}, resumed_keys={}),
            optimizer=optimizer,
            param_schedulers=[
                s.position(epoch if s.by_epoch else done) for s in schedulers
            ]), iterations, _official_rates(checkpoint), planned, scaler)
