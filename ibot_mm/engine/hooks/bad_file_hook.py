"""Report unreadable image files, and stop if there are too many."""

from pathlib import Path

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook

from ibot_mm.registry import HOOKS

REPORT = 'bad_files.txt'


@HOOKS.register_module()
class BadFileHook(Hook):
    """Log, count and list the files that could not be read.

    ``PretrainDataset`` replaced them, or ``TeacherValLoop`` left them out.

    Each process logs a file once. After each epoch the new ones of all
    processes are appended to ``bad_files.txt`` in the work directory, one line
    with path and reason per file.

    Args:
        max_share: Largest fraction of bad files among the files read.
        min_images: Images read before ``max_share`` applies.

    Raises:
        ValueError: ``max_share`` is not in [0, 1].
    """

    priority = 'HIGH'

    def __init__(self, max_share: float = 0.1, min_images: int = 256) -> None:
        if not 0 <= max_share <= 1:
            raise ValueError(
                f'BadFileHook: max_share must be 0 to 1, got {max_share}.')
        self.max_share = max_share
        self.min_images = min_images
        self.num_read = 0
        self.num_bad = 0
        self.bad_files: dict[str, str] = {}
        self._listed: set[str] = set()

    def before_train(self, runner) -> None:
        """Read the list of a resumed run."""
        report = Path(runner.work_dir) / REPORT
        if report.is_file():
            lines = report.read_text(encoding='utf-8').splitlines()
            self._listed = {line.split('\t')[0] for line in lines}

    def _list(self, runner) -> None:
        """Append new files to the report."""
        new = {
            path: reason
            for found in all_gather_object(self.bad_files)
            for path, reason in found.items() if path not in self._listed
        }
        self._listed.update(new)
        if runner.rank != 0 or not new:
            return
        report = Path(runner.work_dir) / REPORT
        try:
            with report.open('a', encoding='utf-8') as file:
                file.writelines(f'{path}\t{reason}\n'
                                for path, reason in sorted(new.items()))
        except OSError as error:
            runner.logger.error(f'{report} could not be written: {error}')

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs=None) -> None:
        """Record the bad files of a batch.

        Raises:
            RuntimeError: There are more than ``max_share`` allows; lists them.
        """
        bad = data_batch.get('bad_files', [])
        self.num_read += len(data_batch['img_paths']) + len(bad)
        self.num_bad += len(bad)
        for path, reason in bad:
            if path not in self.bad_files:
                self.bad_files[path] = reason
                runner.logger.error(
                    f'Bad file {len(self.bad_files)}: {path} {reason}; '
                    'another sample takes its place.')
        if (self.num_read >= self.min_images
                and self.num_bad > self.max_share * self.num_read):
            listing = '\n'.join(f'  {path} {reason}'
                                for path, reason in self.bad_files.items())
            raise RuntimeError(
                f'{self.num_bad} of {self.num_read} files read were bad, more '
                f'than max_share={self.max_share:g} of BadFileHook allows. '
                f'Repair or remove them:\n{listing}')

    def after_train_epoch(self, runner) -> None:
        """List the bad files of the epoch."""
        self._list(runner)

    def after_train(self, runner) -> None:
        """Log how many files were bad."""
        self._list(runner)
        if self._listed:
            runner.logger.warning(
                f'{len(self._listed)} bad files were replaced or '
                f'left out: see {Path(runner.work_dir) / REPORT}.')
