"""Commands of the project, run in this process.

A new interpreter takes seconds to import PyTorch and MMEngine. Processes of
their own are for what needs them: see ``launched.py``.
"""

import gc
import importlib
import logging
import os
import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch
from mmengine.logging import MMLogger
from mmengine.runner import CheckpointLoader
from mmengine.utils import ManagerMixin
from mmengine.visualization import Visualizer
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from .launched import ROOT, run


class Output(NamedTuple):
    """What a command printed."""

    out: str
    err: str


def _managers(base: type = ManagerMixin) -> Iterator[type]:
    """MMEngine's classes with instances by name, such as ``MMLogger``."""
    for cls in base.__subclasses__():
        yield cls
        yield from _managers(cls)


def _stop_workers() -> None:
    """End the DataLoader workers that an earlier run has left.

    The garbage collector would take 5 s for each: it closes the queue through
    which a worker is told to stop.
    """
    for thing in gc.get_objects():
        if type(thing) is _MultiProcessingDataLoaderIter:
            thing._shutdown_workers()


@contextmanager
def isolated() -> Iterator[None]:
    """Start with the state of a new process, and restore this one's.

    MMEngine names its loggers and visualizers by the second in which a run
    starts: without new ones, a run writes to the files of the last.
    """
    environment, path, argv = dict(os.environ), sys.path[:], sys.argv[:]
    folder, disabled = os.getcwd(), logging.root.manager.disable
    threads = torch.get_num_threads()
    benchmark = torch.backends.cudnn.benchmark
    loaders = dict(CheckpointLoader._schemes)
    instances = {cls: dict(cls._instance_dict) for cls in _managers()}
    for cls in instances:
        cls._instance_dict.clear()
    try:
        yield
    finally:
        _stop_workers()
        for cls in list(_managers()):
            for instance in cls._instance_dict.values():
                if isinstance(instance, Visualizer):
                    instance.close()
                if isinstance(instance, MMLogger):
                    for handler in instance.handlers:
                        handler.close()
            cls._instance_dict.clear()
            cls._instance_dict.update(instances.get(cls, {}))
        CheckpointLoader._schemes.clear()
        CheckpointLoader._schemes.update(loaders)
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = benchmark
        logging.disable(disabled)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.path[:], sys.argv[:] = path, argv


def run_tool(tool: str, *args, code: int = 0) -> Output:
    """Run a script of ``tools/`` and return its output.

    Args:
        tool: Path of the script in ``tools/``.
        *args: Its arguments.
        code: Exit status to expect. Errors are raised.
    """
    script, out, err = ROOT / 'tools' / tool, StringIO(), StringIO()
    status = 0
    with isolated(), redirect_stdout(out), redirect_stderr(err):
        sys.argv[:] = [str(script), *map(str, args)]
        sys.path.insert(0, str(script.parent))
        os.chdir(ROOT)
        # As the command line would: not what an earlier test has set.
        os.environ.pop('LOCAL_RANK', None)
        try:
            runpy.run_path(str(script), run_name='__main__')
        except SystemExit as stop:
            if stop.__cause__ and not code:  # an error that a user can fix
                raise stop.__cause__
            status = stop.code or 0
            if isinstance(status, str):
                print(status, file=err)
                status = 1
    assert status == code, out.getvalue() + err.getvalue()
    return Output(out.getvalue(), err.getvalue())


def import_tool(tool: str) -> ModuleType:
    """Import a script of ``tools/`` as a module, with its neighbors."""
    folder = str((ROOT / 'tools' / tool).parent)
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(Path(tool).stem)


def train(config: Path, work_dir: Path, *args, processes: int = 1) -> str:
    """Train; in this process if it is only one.

    Returns:
        The output.
    """
    args = (config, '--work-dir', work_dir, *args)
    if processes == 1:
        return run_tool('train.py', *args).out
    return run('bash', 'tools/dist_train.sh', config, processes, *args[1:],
               PYTHONPATH=str(ROOT))
