"""Misspelt keys at the top of a config, which nobody would read."""

import inspect
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.runner._flexible_runner import FlexibleRunner

from .nearest_name import edit_distance

# What MMEngine and the tools read from a config beside the settings of the
# runners.
ALSO_READ = ('custom_imports', 'find_unused_parameters', 'model_wrapper_cfg',
             'sync_bn', 'runner_type', 'activation_checkpointing',
             'efficient_conv_bn_eval', 'compile', 'tta_model', 'tta_pipeline')
# Names of variables that config files share.
VARIABLES = ('backend_args', 'data_root', 'dataset_type', 'img_scales',
             'vis_backends')
# From this length on names are no words that are alike by chance.
LONG = 10


def top_level_keys(runner: Any = None) -> list[str]:
    """All keys that a run reads.

    Args:
        runner: Class of a runner of the user's own.
    """
    keys = set(ALSO_READ)
    for taker in (Runner, FlexibleRunner, runner):
        if inspect.isclass(taker):
            keys.update(inspect.signature(taker.__init__).parameters)
    return sorted(keys - {'self', 'cfg'})


def _parts_alike(name: str, key: str) -> bool:
    """Whether two names are alike word by word.

    Words of up to four letters ('val', 'test', 'cfg') make names of their
    own with any other letter ('vae_cfg', 'text_cfg'): only letters that are
    swapped, left out or doubled count.
    """
    words, others = name.split('_'), key.split('_')
    if len(words) != len(others):
        return name.replace('_', '') == key.replace('_', '')
    for word, other in zip(words, others):
        if edit_distance(word, other) > 1:
            return False
        swapped = sorted(word) == sorted(other)
        doubled = len(word) > len(other) and set(word) == set(other)
        dropped = len(word) < len(other)
        if len(other) <= 4 and not (swapped or doubled or dropped):
            return False
    return True


def _is_meant(name: str, value: Any, key: str, cfg: Config) -> bool:
    """Whether a name that nobody reads was to be a key."""
    limit = 2 if len(key) >= LONG else 1
    if edit_distance(name, key) > limit or not _parts_alike(name, key):
        return False
    other = cfg.get(key)
    # `custom_hooks = [custom_hook]`
    if value == other or (isinstance(other, list) and value in other):
        return False
    # `train_dataloader2` is a name that somebody has chosen.
    if name.rstrip('0123456789_') == key.rstrip('_'):
        return name.rstrip('_') == key
    if len(key) >= LONG or sorted(name) == sorted(key):
        return True
    if isinstance(value, dict):
        return isinstance(other, dict) and bool(
            (set(value) & set(other)) - {'type'})
    return not isinstance(other, dict)


def misspelt(cfg: Config, runner: Any = None) -> Iterator[tuple[str, str]]:
    """Keys of a config that are misspelt.

    A config may hold variables of any name. So a name is taken for a slip
    only if it is one or, in long names, two letters away from a key; short
    names must have settings in common with the part that they may stand for.

    Args:
        cfg: The config.
        runner: Class of the runner, if it is not MMEngine's.

    Yields:
        The key as it is written, and the one that is meant.
    """
    keys = top_level_keys(runner)
    for name, value in cfg.items():
        if name in keys or name in VARIABLES:
            continue
        meant: str | None = next(
            (key for key in keys if _is_meant(name, value, key, cfg)), None)
        if meant:
            yield name, meant
