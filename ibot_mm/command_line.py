"""What the commands of ``tools/`` share: options, configs, errors."""

import logging
import re
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from traceback import format_exception
from typing import Any, TypeVar

from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger

Result = TypeVar('Result')
# What follows the last '  File "' of a traceback that a raise statement ends.
RAISED = re.compile(r'(?P<file>[^"]+)", line \d+, in .+\n    raise .*\n'
                    r'(?:    .*\n)*(?:\w+\.)*(?P<sentence>\w+: [\s\S]+)')
# Blanks that do not just surround a comma, a bracket or the first "=".
INSIDE = re.compile(r'(?<=[^\s,(\[=]) +(?=[^\s,)\]])')
BLANK = '\0'  # cannot be part of an argument


class CommandParser(ArgumentParser):
    """ArgumentParser with the option that :func:`report_errors` knows."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_argument(
            '--traceback',
            action='store_true',
            help='print the whole traceback of an error')


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
                             f'config "{path}" ({error.args[0]}).') from error
    return cfg


def report_errors(main: Callable[[], Result]) -> Callable[[], Result]:
    """Decorator for ``main`` of a command: some errors end it in a sentence.

    These are the errors that this package or the command raises itself, also
    in data workers, and missing files. Others, and with ``--traceback`` all,
    keep their traceback. The log file of a run has every traceback.

    Raises:
        SystemExit: With the sentence, hence with exit code 1.
    """

    @wraps(main)
    def run() -> Result:
        try:
            return main()
        except Exception as error:
            _log_traceback(error)
            sentence = sentence_of(error)
            if sentence is None or '--traceback' in sys.argv:
                raise
            raise SystemExit(sentence) from error

    return run


def sentence_of(error: Exception) -> str | None:
    """Name and message of an error that the user can mend, else None."""
    text = ''.join(format_exception(error, chain=False))
    found = RAISED.fullmatch(text.rpartition('  File "')[2])
    own = Path(__file__).parent, Path(sys.argv[0]).resolve().parent
    if found and any(map(Path(found['file']).resolve().is_relative_to, own)):
        return found['sentence'].strip()
    if isinstance(error, FileNotFoundError) and error.filename:
        return f'FileNotFoundError: {error}'
    return None


def _log_traceback(error: Exception) -> None:
    """Write an error to the log file of the run, if there is one already."""
    record = logging.makeLogRecord(dict(
        name='mmengine', levelno=logging.ERROR, levelname='ERROR',
        msg='The run failed.',
        exc_info=(type(error), error, error.__traceback__)))
    for handler in MMLogger.get_current_instance().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)
