"""Errors of commands: one sentence for those that a user can fix."""

import logging
import re
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from traceback import format_exception
from typing import Any, TypeVar

from mmengine.logging import MMLogger

Result = TypeVar('Result')
PACKAGE = Path(__file__).resolve().parents[1]
# What follows the last '  File "' of a traceback that a raise statement ends.
RAISED = re.compile(r'(?P<file>[^"]+)", line \d+, in .+\n    raise .*\n'
                    r'(?:    .*\n)*(?:\w+\.)*(?P<sentence>\w+: [\s\S]+)')


class CommandParser(ArgumentParser):
    """ArgumentParser with the option that :func:`report_errors` knows."""

    def __init__(self, **kwargs: Any) -> None:
        # report_errors looks for the whole word.
        super().__init__(allow_abbrev=False, **kwargs)
        self.add_argument(
            '--traceback',
            action='store_true',
            help='print the whole traceback of an error')


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
    """Name and message of an error that the user can fix, else None."""
    text = ''.join(format_exception(error, chain=False))
    found = RAISED.fullmatch(text.rpartition('  File "')[2])
    own = PACKAGE, Path(sys.argv[0]).resolve().parent
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
