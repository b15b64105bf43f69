"""Read a config and the settings of ``--cfg-options``."""

import re
from typing import Any

from mmengine.config import Config, DictAction

# Blanks that do not just surround a comma, a bracket or the first "=".
INSIDE = re.compile(r'(?<=[^\s,(\[=]) +(?=[^\s,)\]])')
BLANK = '\0'  # cannot be part of an argument


class ConfigOptions(DictAction):
    """MMEngine's action for KEY=VALUE, which keeps blanks inside of a value.

    MMEngine removes all blanks, also those of a path.
    """

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        """Parse the values, and add them to those of earlier options."""
        for value in values:
            if '=' not in value:
                parser.error(f'{option_string}: "{value}" is not KEY=VALUE')
        values = [INSIDE.sub(lambda found: BLANK * len(found[0]), value)
                  for value in values]
        super().__call__(parser, namespace, values, option_string)
        setattr(namespace, self.dest, {
            key: _with_blanks(value)
            for key, value in getattr(namespace, self.dest).items()})


def _with_blanks(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(map(_with_blanks, value))
    return value.replace(BLANK, ' ') if isinstance(value, str) else value


def read_config(path: str, options: dict[str, Any] | None = None) -> Config:
    """Read a config file and merge settings into it.

    Args:
        path: The file.
        options: Settings by key, such as ``train_cfg.max_epochs``.

    Raises:
        ValueError: There is no such file, it is not valid Python, or a key of
            the options leads nowhere.
    """
    try:
        cfg = Config.fromfile(path)
    except (FileNotFoundError, SyntaxError) as error:
        raise ValueError(f'the config "{path}": {error}') from error
    for key, value in (options or {}).items():
        try:
            cfg.merge_from_dict({key: value})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f'--cfg-options: {key}={value} does not fit the '
                             f'config "{path}" ({error}).') from error
    return cfg
