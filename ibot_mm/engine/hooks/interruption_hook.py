"""Checkpoint and exit on preemption signals."""

import os
import signal
import threading
import time
from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop

from ibot_mm.distributed.cpu_group import cpu_group
from ibot_mm.engine.dataloader_workers import shield_workers
from ibot_mm.registry import HOOKS

from .safe_checkpoint_hook import SafeCheckpointHook

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h
# Launchers repeat a Ctrl-C that the terminal has sent to all processes.
SAME_KEY = 1.  # seconds
NOTICE = (b'\nThe run will save a checkpoint and end; a second Ctrl-C ends it '
          b'at once.\n')


@HOOKS.register_module()
class InterruptionHook(Hook):
    """On SIGTERM, SIGUSR1 or Ctrl-C, save a checkpoint and exit with code 75.

    The current optimizer step is finished, ``SafeCheckpointHook`` saves, and
    ``--resume`` continues from there. At the end of an epoch its validation is
    skipped. A signal during validation takes effect after the next iteration,
    during the last validation it has no effect. A second Ctrl-C exits at once.

    A signal to any process stops all of them: they all-reduce it on the CPU
    (:func:`cpu_group`). ``torchrun`` itself needs SIGTERM (SIGUSR1 kills it),
    exits with code 1 and gives its processes 30 seconds.

    Args:
        interval: Iterations between these all-reduces.

    Raises:
        ValueError: ``interval`` is not positive.
    """

    # After all other hooks of the iteration, checkpoints included.
    priority = 'LOWEST'

    def __init__(self, interval: int = 10) -> None:
        if interval < 1:
            raise ValueError('InterruptionHook: interval must be positive, '
                             f'got {interval}.')
        self.interval = interval
        self.checkpoints: SafeCheckpointHook | None = None
        self._group: Any = None
        self._handlers: dict[int, Any] = {}
        self._received = self._agreed = 0
        self._time = 0.

    def before_train(self, runner) -> None:
        """Install the signal handlers."""
        self._received = self._agreed = 0
        self.checkpoints = next((hook for hook in runner.hooks
                                 if isinstance(hook, SafeCheckpointHook)),
                                None)
        if self.checkpoints is None:
            runner.logger.warning(
                'InterruptionHook needs default_hooks.checkpoint of type '
                'ibot_mm.SafeCheckpointHook: signals end the run at once.')
            return
        if get_world_size() > 1 and self._group is None:
            self._group = cpu_group()
        shield_workers(runner)
        self._listen()

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs=None) -> None:
        """Stop after an optimizer step if a signal was received.

        Raises:
            SystemExit: With code 75, after the checkpoint.
        """
        if self.checkpoints is None:
            return
        if get_world_size() == 1 or (runner.iter + 1) % self.interval == 0:
            number = torch.tensor([self._received])
            all_reduce(number, op='max', group=self._group)
            self._agreed = int(number)
        # At the end of an epoch after_train_epoch stops.
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            ends = self.is_last_train_iter(runner)
        else:
            ends = self.end_of_epoch(runner.train_dataloader, batch_idx)
        if (self._agreed and runner.optim_wrapper.should_update()
                and not ends):
            self._stop(runner, runner.epoch, runner.iter + 1)

    def after_train_epoch(self, runner) -> None:
        """Stop at the end of an epoch, unless it is the last one.

        Raises:
            SystemExit: As in :meth:`after_train_iter`.
        """
        if (self._agreed and runner.optim_wrapper.should_update()
                and not self.is_last_train_epoch(runner)):
            self._stop(runner, runner.epoch + 1, runner.iter)

    def after_train(self, runner) -> None:
        """Restore the previous signal handlers."""
        self._restore()

    def _listen(self) -> None:
        # Python allows handlers only there.
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            # The parent may ignore signals, as shells do SIGINT for
            # background jobs.
            if signal.getsignal(number) != signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, self._receive)

    def _receive(self, number: int, frame) -> None:
        """Signal handler; logging is not safe here."""
        again = (number == signal.SIGINT == self._received
                 and time.monotonic() > self._time + SAME_KEY)
        if again:
            self._restore()
            signal.default_int_handler(number, frame)
        if not self._received:
            self._time = time.monotonic()
            os.write(2, NOTICE)
        self._received = number

    def _stop(self, runner, epoch: int, iteration: int) -> None:
        saved = self.checkpoints.save_now(runner, epoch, iteration)
        # Launchers kill the other processes when one exits.
        barrier(self._group)
        what = 'saved' if saved else 'this state is lost; the last one is'
        runner.logger.warning(
            f'{signal.Signals(self._agreed).name}: the run ends after '
            f'iteration {iteration}, {what} '
            f'"{self.checkpoints.last_ckpt}". To continue, use the same work '
            f'dir and --resume. Exit code {EXIT_CODE}.')
        runner.visualizer.close()
        self._restore()
        raise SystemExit(EXIT_CODE)

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            # None: not installed by Python.
            signal.signal(
                number, signal.SIG_DFL if handler is None else handler)
        self._handlers = {}
