"""Which settings a class or a function takes."""

import ast
import inspect
import textwrap
import typing
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, Optional

from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from torch import nn

# Who gets the `**kwargs` that a class keeps for later.
_KEPT_FOR = {CheckpointHook: Runner.save_checkpoint}


class Setting(NamedTuple):
    """A parameter that a config can set.

    Attributes:
        owner: Class or function whose parameter it is.
        annotation: Its type, ``Any`` if it has none.
        default: Its default; ``inspect.Parameter.empty`` for none.
    """

    owner: Any
    annotation: Any
    default: Any


# None: it may take anything.
Settings = Optional[dict[str, Setting]]


def forwards_to(find: Callable[[dict], Any]) -> Callable:
    """Decorator: say whose settings ``**kwargs`` of a function are.

    Args:
        find: Gives the class, from the config of the function. It is called
            when the config is checked, and may import.
    """

    def mark(function: Callable) -> Callable:
        function.forwards_to = find
        return function

    return mark


def _own_settings(owner: Any, function: Callable) -> dict[str, Setting]:
    """Settings that stand in the signature itself."""
    try:
        hints = typing.get_type_hints(function)
    except Exception:  # Annotations can be anything.
        hints = {}
    return {
        name: Setting(owner, hints.get(name, Any), parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD,
                              parameter.KEYWORD_ONLY)
    }


def _keywords_name(function: Callable) -> str | None:
    """Name of ``**kwargs``."""
    return next((p.name for p in inspect.signature(
        function).parameters.values() if p.kind is p.VAR_KEYWORD), None)


def _is_base_init(call: ast.AST, owner: type) -> bool:
    """Whether this is ``super().__init__`` or ``super(Owner, self)...``."""
    called = call.func
    if not (isinstance(called, ast.Attribute) and called.attr == '__init__'
            and isinstance(called.value, ast.Call)
            and isinstance(called.value.func, ast.Name)
            and called.value.func.id == 'super'):
        return False
    args = called.value.args
    return not args or getattr(args[0], 'id', '') == owner.__name__


def _literal(node: ast.AST) -> set[str]:
    return {node.value} if isinstance(node, ast.Constant) and isinstance(
        node.value, str) else set()


def _used_keywords(tree: ast.AST, name: str,
                   owner: type) -> tuple[set[str], bool]:
    """What an ``__init__`` does with its ``**kwargs``.

    Returns:
        Keys that it takes itself, and whether all else goes to the base
        class. False if it does anything that is not understood here.
    """
    taken: set[str] = set()
    uses = sum(isinstance(node, ast.Name) and node.id == name
               for node in ast.walk(tree))
    forwarded = understood = 0
    for node in ast.walk(tree):
        keys: set[str] = set()
        if isinstance(node, ast.Call):
            whole = [k for k in node.keywords if k.arg is None
                     and getattr(k.value, 'id', '') == name]
            if whole and _is_base_init(node, owner):
                forwarded += len(whole)
            elif (isinstance(node.func, ast.Attribute) and node.args
                  and getattr(node.func.value, 'id', '') == name
                  and node.func.attr in ('pop', 'get', 'setdefault')):
                keys = _literal(node.args[0])
        elif (isinstance(node, ast.Subscript)
              and getattr(node.value, 'id', '') == name):
            keys = _literal(node.slice)
        elif isinstance(node, ast.Compare) and getattr(
                node.comparators[0], 'id', '') == name:
            understood += 1  # `in kwargs` takes nothing
        taken |= keys
        understood += bool(keys)
    return taken, forwarded > 0 and forwarded + understood == uses


def _class_settings(cls: type) -> Settings:
    if type(cls).__call__ is not type.__call__ or any(
            '__new__' in base.__dict__ and base not in (object, typing.Generic)
            for base in cls.__mro__):
        return None
    found: dict[str, Setting] = {}
    for owner in cls.__mro__:
        init = owner.__dict__.get('__init__')
        if init is None:
            continue
        if owner in (object, nn.Module):
            break
        if hasattr(init, '__wrapped__'):
            return None  # a decorator may rename settings
        own = _own_settings(owner, init)
        own.pop(next(iter(inspect.signature(init).parameters)), None)  # self
        found = {**own, **found}
        if owner in _KEPT_FOR:
            return {**_own_settings(owner, _KEPT_FOR[owner]), **found}
        keywords = _keywords_name(init)
        if keywords is None:
            break
        tree = ast.parse(textwrap.dedent(inspect.getsource(init)))
        taken, forwarded = _used_keywords(tree, keywords, owner)
        if not forwarded:
            return None
        for name in taken:
            found.setdefault(name, Setting(owner, Any, None))
    return found


@cache
def _settings(target: Any) -> Settings:
    """Settings of a class, or of a function without ``**kwargs``."""
    try:
        if inspect.isclass(target):
            return _class_settings(target)
        if inspect.isfunction(target) and _keywords_name(target) is None:
            return _own_settings(target, target)
    # No source or signature (classes in C), or one that is not understood.
    except (ValueError, TypeError, OSError, SyntaxError, StopIteration):
        pass
    return None


def settings_of(target: Any, cfg: dict) -> Settings:
    """What a config may set of a class or a function.

    ``**kwargs`` are followed from class to base class as long as they are
    given to ``super().__init__``.

    Args:
        target: What the config names as type.
        cfg: The config.

    Returns:
        The settings by name, None if there may be others.
    """
    if not (inspect.isclass(target) or inspect.isfunction(target)):
        return None
    if not hasattr(target, 'forwards_to'):
        return _settings(target)
    try:
        settings = settings_of(target.forwards_to(cfg), cfg)
    except Exception:  # Building it will say what is wrong.
        return None
    return None if settings is None else {
        **settings, **_own_settings(target, target)
    }
