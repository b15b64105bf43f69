"""Read a dumped config without running it."""

import ast
from typing import Any

from mmengine.config import Config

from .load import CheckpointError


def _value(node: ast.AST) -> Any:
    """Value of an expression of literals and ``dict(...)``."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        items = [_value(item) for item in node.elts]
        return items if isinstance(node, ast.List) else (
            tuple(items) if isinstance(node, ast.Tuple) else set(items))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values)
        return {_value(key): _value(value) for key, value in pairs}
    if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            and node.func.id == 'dict'):
        result: dict[str, Any] = {}
        for argument in node.args:
            result.update(_value(argument))
        for keyword in node.keywords:
            value = _value(keyword.value)
            result.update({keyword.arg: value} if keyword.arg else value)
        return result
    raise ValueError(ast.unparse(node))


def literal_config(text: str) -> Config:
    """Config from the text that MMEngine keeps in checkpoints.

    ``Config.fromstring`` would execute it; a checkpoint may be from anybody.

    Args:
        text: Assignments of literals and ``dict(...)``.

    Raises:
        CheckpointError: There is anything else in it.
    """
    settings = {}
    try:
        for line in ast.parse(text).body:
            if not (isinstance(line, ast.Assign) and len(line.targets) == 1
                    and isinstance(line.targets[0], ast.Name)):
                raise ValueError(ast.unparse(line))
            settings[line.targets[0].id] = _value(line.value)
    except (ValueError, SyntaxError, TypeError) as error:
        raise CheckpointError(
            'the config in the checkpoint holds more than plain values '
            f'({str(error)[:60]}): give --config, the config of its '
            'pre-training.') from error
    return Config(settings)
