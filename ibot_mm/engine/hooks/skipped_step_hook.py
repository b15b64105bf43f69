"""Count, report and limit skipped optimizer steps."""

from pathlib import Path

import torch
from mmengine.dist import broadcast_object_list
from mmengine.hooks import Hook

from ibot_mm.checkpoints.atomic_write import ATOMIC_BACKEND
from ibot_mm.registry import HOOKS

from .training_health_hook import stop_training

FOLDER, STATE = 'nonfinite', 'state.pth'
COUNT = 'skipped_steps'
# After that many halvings a loss scale of 2^16 is practically 0.
MAX_BACKED_OFF = 50


@HOOKS.register_module()
class SkippedStepHook(Hook):
    """Report the steps that ``PretrainOptimWrapper`` skipped, then stop.

    A step is skipped on all ranks if a loss of any of them is non-finite:
    weights, moments, teacher and centers stay as they are. The log counts
    skipped steps, and every rank appends losses and files of its batch to
    ``nonfinite/rank<r>.txt`` in the work directory. The state before the
    first one is saved there once, as ``state.pth``: resuming from it begins
    with the same batch and the same random numbers (with gradient
    accumulation, with the last batch of the step).

    Non-finite gradients of finite losses are counted at the interval only. In
    float16 the steps that the loss scaler skips are not reported, but 50 in a
    row stop the training.

    Args:
        max_in_a_row: Skipped steps in a row at which the training stops.
        interval: Iterations between checks of the gradients.

    Raises:
        ValueError: A number is not positive.
    """

    # Before schedulers and checkpoints: the state is that of the iteration.
    priority = 'NORMAL'

    def __init__(self, max_in_a_row: int = 10, interval: int = 50) -> None:
        if min(max_in_a_row, interval) < 1:
            raise ValueError(
                'SkippedStepHook: max_in_a_row and interval must be positive, '
                f'got {max_in_a_row} and {interval}.')
        self.max_in_a_row = max_in_a_row
        self.interval = interval
        self.in_a_row = 0
        self._from_start = True
        self._steps = 0
        self._bad_gradients = 0
        self._has_state = False
        # (iteration, losses, files) since the last step.
        self._batches: list[tuple[int, dict, list[str]]] = []

    def before_train(self, runner) -> None:
        """Look for the state that an earlier start has saved."""
        self._from_start = runner.iter == 0
        there = [Path(runner.work_dir, FOLDER, STATE).exists()]
        broadcast_object_list(there)  # saving may be a collective call
        self._has_state, = there

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs: dict | None = None) -> None:
        """Record whether the last optimizer step was skipped.

        Raises:
            TrainingHealthError: Too many in a row were skipped.
        """
        wrapper = runner.optim_wrapper
        if not hasattr(wrapper, 'skipped'):
            return  # MMEngine's wrapper, which skips nothing
        if wrapper.stepped or wrapper.skipped:
            self.in_a_row = self.in_a_row + 1 if wrapper.skipped else 0
        self._steps += wrapper.stepped
        self._batches.append((runner.iter, outputs, files_of(data_batch)))
        if wrapper.skipped:
            self._write(runner)
            self._count(runner, 1, 'a loss was non-finite')
        if wrapper.should_update():
            self._batches = []
        if self.in_a_row >= self.max_in_a_row:
            stop_training(
                runner, 'nonfinite',
                f'the last {self.in_a_row} losses were non-finite (their '
                f'files: {Path(runner.work_dir, FOLDER)})')
        if wrapper.backed_off >= MAX_BACKED_OFF:
            stop_training(
                runner, 'nonfinite', 'gradients were non-finite at any loss '
                f'scale in the last {MAX_BACKED_OFF} steps')
        if self.every_n_train_iters(runner, self.interval):
            self._check_gradients(runner)

    def after_train(self, runner) -> None:
        """End a run that never made a step with an error.

        Raises:
            TrainingHealthError: All steps were skipped.
        """
        if not hasattr(runner.optim_wrapper, 'skipped'):
            return
        self._check_gradients(runner)
        skipped = (self.in_a_row or self._bad_gradients
                   or runner.optim_wrapper.backed_off)
        if (self._from_start and skipped
                and self._steps <= self._bad_gradients):
            stop_training(runner, 'nonfinite',
                          'no optimizer step was made: all losses or '
                          'gradients were non-finite')

    def _count(self, runner, number: int, why: str) -> None:
        hub = runner.message_hub
        total = hub.get_info(COUNT, 0) + number
        hub.update_info(COUNT, total)
        hub.update_scalar(f'train/{COUNT}', total)
        runner.logger.warning(
            f'Iteration {runner.iter + 1}: {why}; skipped optimizer steps so '
            f'far: {total}.')

    def _write(self, runner) -> None:
        """Report the batches of the step, and save the state once."""
        folder = Path(runner.work_dir, FOLDER)
        try:
            folder.mkdir(exist_ok=True)
            with (folder / f'rank{runner.rank}.txt').open(
                    'a', encoding='utf-8') as file:
                file.writelines(describe(*batch) for batch in self._batches)
        except OSError as error:
            runner.logger.error(f'{folder} could not be written: {error}')
        if self._has_state:
            return
        self._has_state = True
        try:
            runner.save_checkpoint(
                str(folder),
                STATE,
                meta=dict(epoch=runner.epoch, iter=runner.iter),
                backend_args=dict(backend=ATOMIC_BACKEND))
        except OSError as error:
            runner.logger.error(f'{folder} could not be written: {error}')

    def _check_gradients(self, runner) -> None:
        counts = runner.optim_wrapper.bad_gradients
        if counts is None:
            return
        total, in_a_row = map(int, counts.tolist())
        if total > self._bad_gradients:
            self._count(runner, total - self._bad_gradients,
                        'gradients were non-finite since the last check')
            self._bad_gradients = total
        if in_a_row >= self.max_in_a_row:
            stop_training(runner, 'nonfinite',
                          f'the last {in_a_row} gradients were non-finite')


def files_of(batch: dict) -> list[str]:
    """Files of a batch of crops or of data samples."""
    if 'img_paths' in batch:
        return batch['img_paths']
    return [str(sample.get('img_path', ''))
            for sample in batch.get('data_samples') or []]


def describe(iteration: int, losses: dict, files: list[str]) -> str:
    """Losses and files of an iteration, one per line."""
    values = ', '.join(f'{name} {float(torch.as_tensor(value).detach()):g}'
                       for name, value in losses.items() if 'loss' in name)
    head = f'iteration {iteration + 1}: {values}'
    return '\n  '.join([head, *files]) + '\n'
