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


def build_runner(cfg: Config, verbose: bool = False) -> Runner:
    """Build the runner of a config.

    Args:
        cfg: The config.
        verbose: Whether the console shows all that the log file has.
    """
    runner = RUNNERS.get(cfg.get('runner_type', 'Runner'))
    if verbose or runner is None:  # MMEngine says that there is none
        return RUNNERS.build(cfg)
    return type(runner.__name__, (ShortConsole, runner), {}).from_cfg(cfg)
