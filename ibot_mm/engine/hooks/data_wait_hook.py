"""Log how much of the time training waits for data."""

import math
import os
import time

import torch
from mmengine.hooks import Hook

from ibot_mm.registry import HOOKS


class Instant:
    """A point in a GPU's queue of work; without a GPU, a time."""

    def __init__(self) -> None:
        self.time, self.event = time.perf_counter(), None
        if torch.cuda.is_available():
            self.event = torch.cuda.Event(enable_timing=True)
            self.event.record()

    def passed(self) -> bool:
        """Whether the GPU has reached it."""
        return self.event is None or self.event.query()

    def seconds_until(self, later: 'Instant') -> float:
        """Time between two instants that have passed."""
        if self.event is None:
            return later.time - self.time
        return self.event.elapsed_time(later.event) / 1000


def workers_needed(workers: int, share: float) -> int:
    """Number of workers without waiting, if ``workers`` wait a share."""
    share = min(share, 0.99)
    # Workers load while the model computes; the process itself does either.
    return math.ceil((workers or share) / (1 - share))


@HOOKS.register_module()
class DataWaitHook(Hook):
    """Log the share of the time in which training waits for data.

    ``data_wait`` is the time in which the GPU has nothing to do between two
    iterations, as a share of the entire time. MMEngine's ``data_time`` is how
    long the process waits for a batch, usually while the GPU computes. Above
    ``max_share`` a warning says how many workers would do, once per epoch.

    An event is recorded after the work of each iteration and another one
    before that of the next. They are read after the GPU has passed them, so
    nothing waits for it. The first batch of an epoch is not counted. For loops
    of epochs: in others, validation counts as waiting.

    Args:
        interval: Iterations between log entries; that of ``LoggerHook``.
        max_share: Share above which the log has a warning; 1 for none.
    """

    # After an iteration, after all other hooks: their work is no waiting.
    priority = 'LOWEST'

    def __init__(self, interval: int = 50, max_share: float = 0.1) -> None:
        self.interval = interval
        self.max_share = max_share

    def before_train_epoch(self, runner) -> None:
        """Start over."""
        self._start: Instant | None = None  # of what is not logged yet
        self._end: Instant | None = None
        self._waits: list[tuple[Instant, Instant]] = []
        self._warned = False

    def before_train_iter(self, runner, batch_idx: int,
                          data_batch=None) -> None:
        """Record the arrival of the batch; log at the interval."""
        now = Instant()
        self._start = self._start or now
        if self._end is not None:
            self._waits.append((self._end, now))
        if (self.every_n_train_iters(runner, self.interval)
                or self.every_n_inner_iters(batch_idx, self.interval)):
            self._log(runner)

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs: dict | None = None) -> None:
        """Record the end of the work."""
        self._end = Instant()

    def _log(self, runner) -> None:
        done = [wait for wait in self._waits if wait[1].passed()]
        if not done:
            return
        self._waits = self._waits[len(done):]
        start, self._start = self._start, done[-1][1]
        share = sum(end.seconds_until(begin) for end, begin in done
                    ) / start.seconds_until(self._start)
        runner.message_hub.update_scalar('train/data_wait', share)
        if share > self.max_share and not self._warned:
            self._warned = True
            workers = runner.train_dataloader.num_workers
            runner.logger.warning(
                f'Training waited for data {share:.0%} of the time: set '
                'train_dataloader.num_workers to '
                f'{workers_needed(workers, share)} instead of {workers} (this '
                f'process may use {len(os.sched_getaffinity(0))} CPUs).')
