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


class KeptConfig:
    """Mixin of runners whose config file may lie in the work dir.

    MMEngine would replace it by all that it inherits, without comments.
    """

    def dump_config(self) -> None:
        """Write the config to the work dir, unless it is there."""
        file = self.cfg.filename
        if not file or Path(file).resolve() != Path(
                self.work_dir, Path(file).name).resolve():
            super().dump_config()


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
    mixins = (KeptConfig, ) if verbose else (KeptConfig, ShortConsole)
    runner = type(runner.__name__, (*mixins, runner), {})
    return runner.from_cfg(cfg)
