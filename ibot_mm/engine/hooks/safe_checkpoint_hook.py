"""Save checkpoints atomically; survive kills and full disks."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook

from ibot_mm.checkpoints.atomic_write import (
    ATOMIC_BACKEND,
    atomic_write,
    remove_incomplete,
)
from ibot_mm.checkpoints.for_mmengine import flatten_log_buffers
from ibot_mm.engine.work_dir import require_unused
from ibot_mm.registry import HOOKS

# Where checkpoints have the path of one that the next one replaces.
INTERIM = 'interim_ckpt'


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """MMEngine's hook with atomic writes.

    A checkpoint is written completely, then ``last_checkpoint`` names it,
    then the checkpoints that it replaces are removed (MMEngine removes them
    first). If it cannot be saved, for example because the disk is full, the
    error is logged, older checkpoints are kept, and the training goes on to
    the next interval.

    A work directory with checkpoints of a run that is not resumed is an
    error. Arguments are those of MMEngine, which also writes files that are
    not local.
    """

    def before_train(self, runner) -> None:
        """Choose the file backend; remove files of killed runs.

        Raises:
            WorkDirError: The work directory has another run's checkpoints.
        """
        if is_main_process() and not runner._resume:
            require_unused(runner.work_dir)
        if self.file_client_args is None:
            backend = get_file_backend(
                self.out_dir or runner.work_dir,
                backend_args=self.backend_args)
            if type(backend) is LocalBackend:
                self.backend_args = dict(backend=ATOMIC_BACKEND)
        super().before_train(runner)
        if is_main_process():
            for folder in {str(self.out_dir), runner.work_dir}:
                remove_incomplete(folder)
        # (epoch, iter) of the last checkpoint that could be saved.
        self._saved: tuple | None = None
        self._failure: OSError | None = None
        self._outdated: list[str] = []

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Replace what ``torch.load(weights_only=True)`` does not read."""
        flatten_log_buffers(checkpoint)

    def save_now(self, runner, epoch: int, iteration: int) -> bool:
        """Save a checkpoint between the intervals; the next one replaces it.

        Args:
            runner: The runner.
            epoch: Finished epochs.
            iteration: Finished iterations.

        Returns:
            Whether there is a checkpoint of this state; valid on rank 0.
        """
        if self._saved == (epoch, iteration):
            return True
        if not self.by_epoch:
            name = self.filename_tmpl.format(iteration)
        elif epoch > runner.epoch:  # at the end of one
            name = self.filename_tmpl.format(epoch)
        else:
            name = f'iter_{iteration}.pth'
        with self._undone_on_failure(runner):
            outdated = self._interim(runner)
            runner.message_hub.update_info(INTERIM, self._path(name))
            self._save(runner, name, dict(epoch=epoch, iter=iteration),
                       outdated)
        return self._saved == (epoch, iteration)

    def after_train(self, runner) -> None:
        """Publish, as MMEngine does.

        Raises:
            RuntimeError: The last checkpoint could not be saved.
        """
        super().after_train(runner)
        if self._failure is not None:
            raise RuntimeError(
                'the training is over, but its last checkpoint '
                f'"{self._failure.filename}" could not be saved '
                f'({_cause(self._failure)}); make room and resume from '
                f'"{self.last_ckpt}".')

    def _save_checkpoint_with_step(self, runner, step: int,
                                   meta: dict) -> None:
        """Save a checkpoint, then remove those beyond ``max_keep_ckpts``."""
        with self._undone_on_failure(runner):
            outdated = self._too_many(runner, step) + self._interim(runner)
            self._save(runner, self.filename_tmpl.format(step), meta, outdated)
            runner.message_hub.update_info(INTERIM, '')

    def _save_best_checkpoint(self, runner, metrics: dict) -> None:
        """Save the best checkpoint, then remove the previous one."""
        if not self.save_best:
            return
        before = self._best
        with self._undone_on_failure(runner):
            # MMEngine removes the previous ones before it saves.
            self._best = dict.fromkeys(before)
            try:
                super()._save_best_checkpoint(runner, metrics)
            except OSError:
                self._remove(runner, _others(self._best, before))
                raise
            new = self._best
            self._best = {key: new[key] or before[key] for key in before}
            self._remove(runner, _others(before, self._best))

    @property
    def _best(self) -> dict[str, str | None]:
        """Path of the best checkpoint of each metric."""
        if len(self.key_indicators) == 1:
            return {'': self.best_ckpt_path}
        return {key: self.best_ckpt_path_dict.get(key)
                for key in self.key_indicators}

    @_best.setter
    def _best(self, paths: dict[str, str | None]) -> None:
        if len(self.key_indicators) == 1:
            self.best_ckpt_path = paths['']
        else:
            self.best_ckpt_path_dict = paths

    def _too_many(self, runner, step: int) -> list[str]:
        """Count a checkpoint; paths beyond ``max_keep_ckpts``."""
        if self.max_keep_ckpts <= 0:
            return []
        ids = [i for i in self.keep_ckpt_ids if i != step] + [step]
        kept = ids[-self.max_keep_ckpts:]
        self.keep_ckpt_ids = deque(kept, self.max_keep_ckpts)
        runner.message_hub.update_info('keep_ckpt_ids', kept)
        return [self._path(self.filename_tmpl.format(i))
                for i in ids[:-self.max_keep_ckpts]]

    @staticmethod
    def _interim(runner) -> list[str]:
        """Path of the checkpoint that the next one replaces, if any."""
        return list(filter(None, [runner.message_hub.get_info(INTERIM)]))

    def _path(self, name: str) -> str:
        return self.file_backend.join_path(self.out_dir, name)

    def _save(self, runner, name: str, meta: dict,
              outdated: list[str]) -> None:
        """Save a checkpoint, point to it, remove those that it replaces."""
        self.last_ckpt = self._path(name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args)
        self._saved = meta['epoch'], meta['iter']
        self._failure = None
        if not is_main_process():
            return
        self._outdated = self._outdated + [
            path for path in outdated if path != self.last_ckpt]
        try:
            with atomic_write(Path(runner.work_dir, 'last_checkpoint')) as new:
                new.write_text(str(self.last_ckpt))
        except OSError as error:
            _report(runner, error)
        else:  # those that could not be removed before are tried again
            self._outdated = self._remove(runner, self._outdated)

    def _remove(self, runner, paths: list[str]) -> list[str]:
        """Remove checkpoints on rank 0; returns those that could not be."""
        failed = []
        for path in paths if is_main_process() else ():
            try:
                if self.file_backend.isfile(path):
                    self.file_backend.remove(path)
                elif self.file_backend.isdir(path):  # of DeepSpeed
                    self.file_backend.rmtree(path)
            except OSError as error:
                runner.logger.error(
                    f'"{path}" could not be removed ({_cause(error)}).')
                failed.append(path)
        return failed

    @contextmanager
    def _undone_on_failure(self, runner) -> Iterator[None]:
        """On an OSError log it, and restore the hook and the message hub."""
        mine, info = dict(vars(self)), runner.message_hub.runtime_info
        before = dict(info)
        try:
            yield
        except OSError as error:
            error.filename = error.filename or self.last_ckpt
            vars(self).update(mine)
            info.clear()
            info.update(before)
            self._failure = error
            _report(runner, error)


def _others(paths: dict[str, str | None],
            than: dict[str, str | None]) -> list[str]:
    """Paths that are not among the values of ``than``."""
    return [p for p in paths.values() if p and p not in than.values()]


def _cause(error: OSError) -> str:
    return error.strerror or str(error)


def _report(runner, error: OSError) -> None:
    runner.logger.error(
        f'"{error.filename}" could not be saved ({_cause(error)}): older '
        'checkpoints are kept, and the next interval tries again.')
