"""Find settings that nothing reads, and name the key behind an error."""

import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from traceback import walk_tb
from typing import Any

from mmengine.config import Config
from mmengine.registry import RUNNERS, Registry

# Settings that MMEngine reads by name, so that no signature has them.
READ_AT_TOP = {'custom_imports', 'runner_type', 'model_wrapper_cfg', 'sync_bn',
               'find_unused_parameters', 'activation_checkpointing',
               'efficient_conv_bn_eval'}
READ_IN = dict(
    auto_scale_lr=('base_batch_size', 'enable'),
    env_cfg=('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'),
    paramwise_cfg=('custom_keys', 'bias_lr_mult', 'bias_decay_mult',
                   'norm_decay_mult', 'flat_decay_mult', 'dwconv_decay_mult',
                   'dcn_offset_lr_mult', 'bypass_duplicate'))


class ConfigError(ValueError):
    """A setting or a type of the config does not exist."""


def check_config(cfg: Config) -> None:
    """Raise ConfigError on misspelled settings that MMEngine would ignore."""
    known = READ_AT_TOP | _keywords(*RUNNERS.module_dict.values())
    settings, problems = list(_walk(cfg)), []
    for name in sorted(set(cfg) - known):
        near = get_close_matches(name, known, 1, 0.9) or [
            key for key in known if sorted(key) == sorted(name)]
        # Variables are `train_dataloader2` and what other settings contain.
        used = isinstance(cfg[name], (dict, list, tuple)) and any(
            type(value) is type(cfg[name]) and value == cfg[name]
            for path, value, _ in settings if path[1:])
        if near and not used and (near[0] not in name
                                  or '_' in name and name == f'{near[0]}s'):
            problems.append(_line([name], 'nothing reads it', near))
    for path, value, owner in [s for s in settings if isinstance(s[1], dict)]:
        if path[:-1] == ['default_hooks'] and 'type' not in value:
            problems.append(_line(path, 'it has no type', get_close_matches(
                path[-1], set(owner) - {path[-1]}, 1)))
        keys = ('lr_mult', 'decay_mult') if path[-2:-1] == [
            'custom_keys'] else READ_IN.get(path[-1], ())
        problems += [_line([*path, key], 'nothing reads it', near)
                     for key in value if key not in keys
                     and (near := get_close_matches(key, keys, 1, 0.8))]
    if problems:
        raise ConfigError('\n'.join(problems))


@contextmanager
def explained_config_errors(cfg: Config) -> Iterator[None]:
    """Turn errors of unknown keywords and types into a ConfigError.

    It names the key and the nearest valid name. Other errors pass unchanged.
    """
    try:
        yield
    except (TypeError, KeyError) as error:
        if problems := _explain(error, cfg):
            raise ConfigError('\n'.join(problems)) from error
        raise


def _explain(error: Exception, cfg: Config) -> list[str]:
    """A line for each setting of the config that an error is due to."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    caller = frames[-1].f_locals
    read = READ_AT_TOP | _keywords(*RUNNERS.module_dict.values())
    settings = [item for item in _walk(cfg) if item[0][0] in read]
    message = str(*error.args[:1]).rpartition('<locals>.')[2]
    found = re.match(r'(\S+) is not in the .+ registry', message)
    if found and isinstance(registry := caller.get('registry'), Registry):
        names = [*registry.module_dict, *registry.root.module_dict]
        for node in registry.root.children.values():
            names += [f'{node.scope}.{name}' for name in node.module_dict]
        near = [name for name in names if name.endswith(f'.{found[1]}')] or (
            get_close_matches(found[1], names, 1))
        return [_line(path, found[0] if near else message, near)
                for path, value, _ in settings
                if isinstance(value, str) and value == found[1]]
    found = re.match(r"(?:(\w+)\.)?(\w+)\(\) got an unexpected keyword "
                     r"argument '(\w+)'", message)
    builds = [f.f_locals for f in frames
              if f.f_globals['__name__'].startswith('mmengine.')
              and f.f_code.co_name.startswith(('build_', 'from_cfg'))]
    # Building passes the keyword on, as in `function(**given)`.
    given = [[v for v in variables.values() if isinstance(v, dict)
              and found and found[3] in v] for variables in (caller, *builds)]
    if not builds or not given[0]:
        return []
    called = getattr(frames[-1].f_globals.get(found[1]), found[2], None)
    built = [v for b in builds for v in b.values() if inspect.isclass(v)]
    near = get_close_matches(found[3], _keywords(called, *built[-1:]), 1)
    kinds = [str(v['type']) for v in sum(given, []) if 'type' in v]
    owners = [(path, owner.get('type')) for path, _, owner in settings
              if path[-1] == found[3] and isinstance(owner, dict)]
    return [_line(path, found[0], near) for path in
            [path for path, kind in owners if str(kind) in kinds]
            or [path for path, kind in owners if kind is None]]


def _line(path: list[str], problem: str, near: list[str]) -> str:
    return f'{".".join(path)}: {problem}' + (
        f'; did you mean "{near[0]}"?' if near else '')


def _walk(node: Any, *path: str) -> Iterator[tuple[list[str], Any, Any]]:
    """Key path, value and container of everything in a config."""
    items = node.items() if isinstance(node, (dict, Config)) else (
        enumerate(node) if isinstance(node, (list, tuple)) else ())
    for key, value in items:
        yield [*path, str(key)], value, node
        yield from _walk(value, *path, str(key))


def _keywords(*targets: Any) -> set[str]:
    """Keywords of callables; of classes, also those **kwargs reach."""
    names: set[str] = set()
    for target in filter(callable, targets):
        for item in getattr(target, '__mro__', [target]):
            with suppress(ValueError):  # those in C may have no signature
                parameters = inspect.signature(item).parameters
                names.update(parameters)
                if all(p.kind != p.VAR_KEYWORD for p in parameters.values()):
                    break
    return names - {'self', 'args', 'kwargs'}
