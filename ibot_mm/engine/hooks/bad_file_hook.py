"""Report files that could not be read, and stop when there are too many."""

from pathlib import Path
from typing import Dict

from mmengine.hooks import Hook

from ibot_mm.registry import HOOKS


@HOOKS.register_module()
class BadFileHook(Hook):
    """Name, count and list the files that ``PretrainDataset`` replaced.

    Each is named once in the log and in ``bad_files_rank<r>.txt`` in the work
    directory.

    Args:
        max_share: Largest share of bad files among the files read.
        min_images: Images read before the share is judged.
    """

    priority = 'HIGH'

    def __init__(self, max_share: float = 0.1, min_images: int = 256) -> None:
        if not 0 <= max_share <= 1:
            raise ValueError('BadFileHook: max_share must lie in 0 to 1, got '
                             f'{max_share}.')
        self.max_share = max_share
        self.min_images = min_images
        self.num_read = 0
        self.num_bad = 0
        self.bad_files: Dict[str, str] = {}

    def _report(self, runner, path: str, reason: str) -> None:
        self.bad_files[path] = reason
        runner.logger.error(
            f'Bad file {len(self.bad_files)}: {path} {reason}; another sample '
            'takes its place.')
        report = Path(runner.log_dir) / f'bad_files_rank{runner.rank}.txt'
        with report.open('a', encoding='utf-8') as file:
            file.write(f'{path}\t{reason}\n')

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs=None) -> None:
        """Take note of the bad files of a batch.

        Raises:
            RuntimeError: The share of bad files exceeds ``max_share``; lists
                them.
        """
        bad = data_batch.get('bad_files', [])
        self.num_read += data_batch['inputs']['batch_size'] + len(bad)
        self.num_bad += len(bad)
        for path, reason in bad:
            if path not in self.bad_files:
                self._report(runner, path, reason)
        if (self.num_read >= self.min_images
                and self.num_bad > self.max_share * self.num_read):
            listing = '\n'.join(f'  {path} {reason}'
                                for path, reason in self.bad_files.items())
            raise RuntimeError(
                f'{self.num_bad} of {self.num_read} files read were bad, more '
                f'than max_share={self.max_share:g} of BadFileHook allows. '
                f'Repair or remove them:\n{listing}')

    def after_train(self, runner) -> None:
        """Sum up."""
        if self.bad_files:
            runner.logger.warning(
                f'{len(self.bad_files)} bad files were replaced during '
                'training; they are listed in '
                f'{Path(runner.log_dir)}/bad_files_rank{runner.rank}.txt.')
