"""The config of the run, which MMEngine stores in its checkpoints."""

import ast
from typing import Any

# Of a backbone, what its weights do not show, besides the number of heads.
_HIDDEN = ('img_size', 'interpolate_offset', 'interpolate_mode',
           'interpolate_antialias')


class _DictCalls(ast.NodeTransformer):
    """Write ``dict(key=value)`` as ``{'key': value}``."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == 'dict':
            return ast.Dict([ast.Constant(k.arg) for k in node.keywords],
                            [k.value for k in node.keywords])
        return node


def stored_config(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Settings of the run that wrote a checkpoint, as plain values.

    The text is parsed, never executed. No type that it names may be built: a
    config can name any function.

    Args:
        checkpoint: Content of the file.

    Returns:
        The settings by name; {} if the checkpoint has no config.
    """
    text = (checkpoint.get('meta') or {}).get('cfg')
    if not isinstance(text, str):
        return {}
    settings = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(
                node.targets[0], ast.Name):
            try:
                settings[node.targets[0].id] = ast.literal_eval(
                    _DictCalls().visit(node.value))
            except ValueError:  # not a plain value
                continue
    return settings


def hidden_settings(config: dict[str, Any]) -> dict[str, Any]:
    """What the weights of a run's backbone do not show.

    Args:
        config: Settings of the run, from :func:`stored_config`.

    Returns:
        Arguments of
        :func:`~ibot_mm.checkpoints.architecture.backbone_config`.
    """
    stored = (config.get('model') or {}).get('backbone') or {}
    settings = {name: stored[name] for name in _HIDDEN if name in stored}
    norm = stored.get('norm_cfg') or {}
    if norm.get('type') == 'LN' and 'eps' in norm:
        settings['norm_cfg'] = dict(type='LN', eps=norm['eps'])
    arch = stored.get('arch')
    # A Swin transformer's weights show its heads, one number per stage.
    if isinstance(arch, dict) and isinstance(arch.get('num_heads'), int):
        settings['num_heads'] = arch['num_heads']
    return settings
