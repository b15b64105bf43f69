"""A checkpoint that a run continues from, made of an official one."""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from torch import nn
from torch.optim import Adam, AdamW

from ibot_mm.engine.schedulers.cosine import StepScheduler
from ibot_mm.registry import MODELS

from .official_checkpoint import from_official_checkpoint
from .official_iterations import steps_of_epoch
from .official_optimizer import from_official_optimizer, number_states
from .pretrained import check_keys, fit_to_model
from .safe_load import CheckpointError

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

    checkpoint: Dict[str, Any]
    iterations: int
    official: Optional[Rates]
    planned: Rates
    scaler: str


def _check(checkpoint: Dict[str, Any], cfg: Config) -> None:
    """Refuse what cannot be continued."""
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
                iterations: int) -> List[StepScheduler]:
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
        if not isinstance(scheduler, StepScheduler):
            raise CheckpointError(
                f'param_scheduler of the config has {config["type"]}, whose '
                'position cannot be set: use WarmupCosineLR and '
                'CosineWeightDecay.')
        schedulers.append(scheduler)
    return schedulers


def _move(schedulers: List[StepScheduler], wrapper: OptimWrapper, epoch: int,
          iteration: int) -> Rates:
    """Set the rates of an iteration."""
    for scheduler in schedulers:
        scheduler.load_state_dict(
            scheduler.position(epoch if scheduler.by_epoch else iteration))
    group = wrapper.param_groups[0]
    return Rates(group['lr'], group['weight_decay'])


def _official_rates(checkpoint: Dict[str, Any]) -> Optional[Rates]:
    group = checkpoint['optimizer']['param_groups'][0]
    rates = Rates(group.get('lr'), group.get('weight_decay'))
    return rates if all(isinstance(x, (int, float)) for x in rates) else None


def _adam_state(checkpoint: Dict[str, Any], model: nn.Module,
                wrapper: OptimWrapper) -> Dict[int, dict]:
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


def _optimizer(checkpoint: Dict[str, Any], adam: Dict[int, dict],
               wrapper: OptimWrapper) -> Tuple[Dict[str, Any], str]:
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


def continue_official(checkpoint: Dict[str, Any],
                      cfg: Config,
                      epoch_length: Optional[int] = None) -> Continuation:
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
    weights = fit_to_model(model, from_official_checkpoint(checkpoint))
    check_keys(model.state_dict(), weights, 'the checkpoint')

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
            state_dict=weights,
            meta=dict(source='official iBOT', epoch=epoch, iter=done),
            message_hub=dict(
                log_scalars={}, runtime_info={}, resumed_keys={}),
            optimizer=optimizer,
            param_schedulers=[
                s.position(epoch if s.by_epoch else done) for s in schedulers
            ]), iterations, _official_rates(checkpoint), planned, scaler)
