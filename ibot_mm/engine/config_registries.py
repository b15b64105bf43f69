"""Find what a config names as ``type``, without building it."""

from functools import cache
from importlib import import_module
from typing import Any

from mmengine import registry as roots
from mmengine.registry import Registry

# Where a type is looked for if its place does not tell.
ALL = ('MODELS', 'TASK_UTILS', 'TRANSFORMS', 'DATASETS', 'DATA_SAMPLERS',
       'FUNCTIONS', 'HOOKS', 'METRICS', 'EVALUATOR', 'LOOPS', 'OPTIMIZERS',
       'OPTIM_WRAPPERS', 'PARAM_SCHEDULERS', 'WEIGHT_INITIALIZERS',
       'VISBACKENDS', 'VISUALIZERS', 'BATCH_AUGMENTS')


class Unknown(Exception):
    """Registries could not be searched."""


@cache
def registry_of(name: str, scope: str) -> Registry:
    """A registry as the Runner of a default scope uses it.

    Args:
        name: Name of MMEngine's root registry, or 'BATCH_AUGMENTS' of
            MMPretrain, which has none.
        scope: The default scope.
    """
    if name == 'BATCH_AUGMENTS':
        return import_module('mmpretrain.registry').BATCH_AUGMENTS
    root = getattr(roots, name)
    try:
        import_module(f'{scope}.registry')
    except (ImportError, AttributeError):
        pass  # MMEngine goes on with the root too.
    return root.children.get(scope, root)


def find_type(kind: Any, registry: str, scope: str) -> Any | None:
    """The class or function that a type stands for.

    Args:
        kind: A name, or a class or function itself.
        registry: Name of the registry, as for :func:`registry_of`.
        scope: The default scope.

    Returns:
        None if the registry does not have it.

    Raises:
        Unknown: The registry's modules cannot be imported.
    """
    if not isinstance(kind, str):
        return kind
    try:
        return registry_of(registry, scope).get(kind)
    except (RuntimeError, KeyError):  # MMEngine's ways to say no
        return None
    except Exception as error:  # Modules can fail in any way.
        raise Unknown(str(error)) from error


def find_anywhere(kind: Any, scope: str) -> list[Any]:
    """Everything that a type can stand for.

    Raises:
        Unknown: A registry's modules cannot be imported.
    """
    found: list[Any] = []
    for name in ALL:
        target = find_type(kind, name, scope)
        if target is not None and not any(target is f for f in found):
            found.append(target)
    return found


def names_in(registry: str, scope: str, kind: str) -> list[str]:
    """Names that could have been meant by one that a registry lacks.

    Args:
        registry: Name of the registry.
        scope: The default scope.
        kind: What was written.

    Returns:
        Names of the scope of ``kind`` if it has one. If not, those that are
        found without a scope, behind such as are the same in another scope
        that has been imported.
    """
    node = registry_of(registry, scope)
    children = node.root.children
    prefix, _, _ = kind.rpartition('.')
    if prefix:
        return [f'{prefix}.{name}' for name in children[prefix].module_dict
                ] if prefix in children else []
    elsewhere = [f'{other}.{kind}' for other, child in children.items()
                 if kind in child.module_dict]
    return elsewhere + [*node.module_dict, *node.root.module_dict]
