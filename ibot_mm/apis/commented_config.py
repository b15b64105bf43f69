"""Config files in which every value says why it was chosen."""

import textwrap
from typing import Any, NamedTuple


class Choice(NamedTuple):
    """A value and the reason for it, a sentence or less."""

    value: Any
    reason: str


class Code(str):
    """An expression that stands in a config file as it is."""

    __repr__ = str.__str__


def _call(value: Any) -> str:
    if not isinstance(value, dict):
        return repr(value)
    return 'dict(' + ', '.join(f'{key}={_call(item)}'
                               for key, item in value.items()) + ')'


def commented(settings: dict[str, Any], level: int = 0) -> str:
    """Assignments of a config file, with reasons as comments.

    Args:
        settings: By name: a :class:`Choice`, a value, or a dict of these,
            which becomes a call of ``dict``.
        level: Depth of the dict.
    """
    indent = '    ' * level
    equals, end = ('=', ',') if level else (' = ', '')
    lines = []
    for key, value in settings.items():
        if isinstance(value, Choice):
            lines.append(textwrap.fill(
                value.reason, 79, initial_indent=f'{indent}# ',
                subsequent_indent=f'{indent}# '))
            value = value.value
        plain = f'{indent}{key}{equals}{_call(value)}{end}'
        if isinstance(value, dict) and (choices(value) or len(plain) > 79):
            lines.append(f'{indent}{key}{equals}dict(')
            lines.append(commented(value, level + 1))
            lines.append(f'{indent}){end}')
        else:
            lines.append(plain)
    return '\n'.join(lines)


def choices(settings: dict[str, Any], prefix: str = ''
            ) -> list[tuple[str, Choice]]:
    """Keys, with dots, and choices of all levels."""
    found = []
    for key, value in settings.items():
        if isinstance(value, Choice):
            found.append((prefix + key, value))
        elif isinstance(value, dict):
            found += choices(value, f'{prefix}{key}.')
    return found
