"""Check a config before anything is built from it."""

from collections.abc import Iterable
from typing import Any

from mmengine.config import Config
from mmengine.runner import (
    EpochBasedTrainLoop,
    IterBasedTrainLoop,
    set_random_seed,
)

from .config_signatures import settings_of
from .config_top_level import misspelt
from .config_types import TypeChecker
from .nearest_name import did_you_mean, slip_of

DEFAULT_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger',
                 'param_scheduler', 'checkpoint')
# Settings that MMEngine reads one by one: another name does nothing.
READ = dict(
    auto_scale_lr=('base_batch_size', 'enable'),
    env_cfg=('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'))
PARAMWISE = ('custom_keys', 'bias_lr_mult', 'bias_decay_mult',
             'norm_decay_mult', 'flat_decay_mult', 'dwconv_decay_mult',
             'dcn_offset_lr_mult', 'bypass_duplicate')
CUSTOM_KEY = ('lr_mult', 'decay_mult')
CLIP = ('type', 'max_norm', 'norm_type', 'max_value', 'clip_value',
        'error_if_nonfinite', 'foreach')


class ConfigError(ValueError):
    """Settings that cannot be meant as they are written."""


def check_config(cfg: Config) -> None:
    """Refuse misspelt settings and values of a wrong type.

    Checked are the keys at the top, and the parts that a run builds: whether
    their types exist and take the settings. What cannot be told, e.g. the
    settings of a class with ``**kwargs`` that it gives to something else, is
    not judged.

    Args:
        cfg: The config, with all that the command line changes.

    Raises:
        ConfigError: With a line for each problem.
    """
    check = TypeChecker(cfg.get('default_scope') or 'mmengine')
    runner = cfg.get('runner_type') and check.type_name(
        cfg.runner_type, 'runner_type', 'RUNNERS')
    for name, meant in misspelt(cfg, runner):
        check.add(name, f'a run has no setting "{name}"; did you mean '
                  f'"{meant}"?')
    check.built(cfg.get('model'), 'model', 'MODELS')
    for mode in ('train', 'val', 'test'):
        # Training does not build what is there for tests.
        check.needed = mode != 'test'
        check.dataloader(cfg.get(f'{mode}_dataloader'), f'{mode}_dataloader')
        _check_loop(check, cfg.get(f'{mode}_cfg'), f'{mode}_cfg')
        _check_evaluator(
            check, cfg.get(f'{mode}_evaluator'), f'{mode}_evaluator')
    check.needed = True
    _check_optim_wrapper(check, cfg.get('optim_wrapper'), 'optim_wrapper')
    _check_schedulers(check, cfg.get('param_scheduler'), 'param_scheduler')
    _check_hooks(check, cfg)
    check.built(cfg.get('visualizer'), 'visualizer', 'VISUALIZERS')
    check.built(
        cfg.get('log_processor'), 'log_processor', 'LOG_PROCESSORS',
        'LogProcessor')
    check.built(cfg.get('strategy'), 'strategy', 'STRATEGIES')
    _check_others(check, cfg)
    if check.problems:
        raise ConfigError('\n'.join(check.problems))


def _check_loop(check: TypeChecker, cfg: Any, path: str) -> None:
    """The loop, whose type may follow from `by_epoch` or from its place."""
    if not isinstance(cfg, dict):
        return
    if 'type' in cfg and 'by_epoch' in cfg and path == 'train_cfg':
        check.add(f'{path}.by_epoch', 'the Runner takes it, or '
                  f'{path}.type; leave one of them out')
    if path == 'train_cfg' and 'type' not in cfg:
        loop = EpochBasedTrainLoop if cfg.get(
            'by_epoch', True) else IterBasedTrainLoop
        check.keys(cfg, path, loop.__name__, settings_of(loop, cfg),
                   ('by_epoch', ))
    else:
        default = dict(val_cfg='ValLoop', test_cfg='TestLoop').get(path)
        check.built(cfg, path, 'LOOPS', default, ('by_epoch', ))


def _check_evaluator(check: TypeChecker, cfg: Any, path: str) -> None:
    """An evaluator with its metrics, or metrics alone."""
    if isinstance(cfg, dict) and 'metrics' in cfg:
        check.built(cfg, path, 'EVALUATOR', 'Evaluator')
    else:
        check.built(cfg, path, 'METRICS')


def _check_optim_wrapper(check: TypeChecker, cfg: Any, path: str) -> None:
    """One wrapper, or several by name."""
    if not isinstance(cfg, dict):
        return
    if 'optimizer' not in cfg and 'type' not in cfg:
        for name, value in cfg.items():
            _check_optim_wrapper(check, value, f'{path}.{name}')
        return
    check.built(cfg, path, 'OPTIM_WRAPPERS', 'OptimWrapper')
    if isinstance(cfg.get('constructor'), str):
        check.type_name(cfg['constructor'], f'{path}.constructor',
                        'OPTIM_WRAPPER_CONSTRUCTORS')
    _check_slips(check, cfg.get('clip_grad'), f'{path}.clip_grad', CLIP)
    paramwise = cfg.get('paramwise_cfg')
    if not isinstance(paramwise, dict):
        return
    if cfg.get('constructor') is None:
        _check_slips(check, paramwise, f'{path}.paramwise_cfg', PARAMWISE)
    custom = paramwise.get('custom_keys')
    for name, value in (custom if isinstance(custom, dict) else {}).items():
        _check_slips(check, value, f'{path}.paramwise_cfg.custom_keys.{name}',
                     CUSTOM_KEY)


def _check_schedulers(check: TypeChecker, cfg: Any, path: str) -> None:
    """One scheduler, several, or those of several optimizers by name."""
    if isinstance(cfg, dict) and 'type' not in cfg:
        for name, value in cfg.items():
            _check_schedulers(check, value, f'{path}.{name}')
    else:
        check.built(cfg, path, 'PARAM_SCHEDULERS')


def _check_hooks(check: TypeChecker, cfg: Config) -> None:
    """Hooks; a name without type is what a misspelt one looks like."""
    hooks = cfg.get('default_hooks')
    check.built(cfg.get('custom_hooks'), 'custom_hooks', 'HOOKS')
    if not isinstance(hooks, dict):
        return
    known = {*DEFAULT_HOOKS, *(
        name for name, hook in hooks.items()
        if hook is not None and (not isinstance(hook, dict) or 'type' in hook)
    )}
    for name, hook in hooks.items():
        path = f'default_hooks.{name}'
        guess = did_you_mean(str(name), known - {name})
        if isinstance(hook, dict) and 'type' in hook:
            check.built(hook, path, 'HOOKS')
        elif isinstance(hook, dict):
            check.add(path, ('it has no type' if name in known else
                             'there is no such hook in the config') + guess)
        elif hook is None and name not in DEFAULT_HOOKS:
            check.add(path, "None leaves out MMEngine's own hooks only"
                      + (guess or '; list the hooks that are to stay, with '
                         '_delete_=True'))


def _check_others(check: TypeChecker, cfg: Config) -> None:
    """Parts without a type."""
    for name, keys in READ.items():
        _check_slips(check, cfg.get(name), name, keys)
    randomness = cfg.get('randomness')
    if isinstance(randomness, dict):
        check.keys(randomness, 'randomness', 'set_random_seed',
                   settings_of(set_random_seed, randomness))


def _check_slips(check: TypeChecker, cfg: Any, path: str,
                 keys: Iterable[str]) -> None:
    """Keys that are all but one that is read."""
    for key in cfg if isinstance(cfg, dict) else ():
        meant = None if key in keys else slip_of(str(key), keys)
        if meant:
            check.add(f'{path}.{key}', f'nothing reads "{key}"; did you mean '
                      f'"{meant}"?')
