"""What a run shows on the console; its log file has everything."""

import logging
from pathlib import Path

import mmengine.runner
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

RUNNERS_FOLDER = Path(mmengine.runner.__file__).parent


def is_no_dump(record: logging.LogRecord) -> bool:
    """Whether a record is not the Runner's environment, config or hooks."""
    return (record.levelno > logging.INFO
            or '\n' not in record.getMessage()
            or Path(record.pathname).parent != RUNNERS_FOLDER)


class ShortConsole:
    """Mixin of runners that keeps hundreds of lines off the console."""

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """MMEngine's logger, with a filter of what the console shows."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(is_no_dump)
        return logger


def build_runner(cfg: Config,
                 runner_type: str = 'Runner',
                 verbose: bool = False) -> Runner:
    """Build the runner of a config.

    Args:
        cfg: The config.
        runner_type: Name of the class.
        verbose: Whether the console shows all that the log file has.

    Raises:
        KeyError: There is no such class.
    """
    runner = RUNNERS.get(runner_type)
    if runner is None:
        return RUNNERS.build(cfg)  # raises MMEngine's error
    if not verbose:
        runner = type(runner.__name__, (ShortConsole, runner), {})
    return runner.from_cfg(cfg)
