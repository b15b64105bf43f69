"""k-NN validation of the teacher during pre-training."""

from collections.abc import Sequence
from functools import partial

from mmengine.dist import all_gather_object
from mmengine.runner import BaseLoop
from torch.utils.data import DataLoader

from ibot_mm.datasets.labeled import LabeledDataset, collate_readable
from ibot_mm.engine.hooks import BadFileHook
from ibot_mm.evaluation import Features
from ibot_mm.registry import LOOPS

from .feature_loop import FeatureTestLoop


@LOOPS.register_module()
class KNNValLoop(FeatureTestLoop):
    """Weighted k-NN classification of a labeled set by a labeled bank.

    In a training, a file that cannot be read is left out instead of ending
    it, and ``BadFileHook`` lists it.

    Args:
        runner: The runner.
        dataloader: Query images.
        bank_dataloader: Labeled images of the bank.
        evaluator: Not used; MMEngine requires one, ``[]`` is enough.
        k: Numbers of neighbors; one accuracy each.
        temperature: Temperature of the vote weights,
            exp(similarity / temperature).
        topk: Which top-n accuracies to report.
        max_bad_share: Largest fraction of unreadable files in a training.
    """

    stage = 'val'

    def __init__(self,
                 runner,
                 dataloader: DataLoader | dict,
                 bank_dataloader: dict,
                 evaluator=None,
                 k: Sequence[int] = (10, 20, 100, 200),
                 temperature: float = 0.07,
                 topk: Sequence[int] = (1, 5),
                 max_bad_share: float = 0.1) -> None:
        super().__init__(
            runner,
            dataloader,
            dict(
                type='ibot_mm.KNNClassification',
                k=k,
                temperature=temperature,
                topk=topk),
            bank_dataloader,
            log_interval=0)
        self.max_bad_share = max_bad_share
        self._known_bad: set[str] = set()
        # Without a training, the runner has the config of a loop, or none.
        training = isinstance(runner._train_loop, BaseLoop)
        for loader in (self.dataloader, self.bank_dataloader):
            if training and isinstance(loader.dataset, LabeledDataset):
                loader.dataset.skip_unreadable = True
                loader.collate_fn = partial(
                    collate_readable, collate=loader.collate_fn)

    def extract(self, dataloader: DataLoader,
                recipe: str | None) -> Features:
        """Features of the readable images of a data set.

        Raises:
            ValueError: Too many files are unreadable.
        """
        features = super().extract(dataloader, recipe)
        bad = {path: reason for found in all_gather_object(self.bad_files)
               for path, reason in found}
        for path, reason in bad.items():
            if path not in self._known_bad:
                self._known_bad.add(path)
                self.runner.logger.error(
                    f'Bad file: {path} {reason}; the k-NN validation leaves '
                    'it out.')
        for hook in self.runner.hooks:
            if isinstance(hook, BadFileHook):
                hook.bad_files.update(self.bad_files)
        if len(bad) > self.max_bad_share * len(dataloader.dataset):
            raise ValueError(
                f'{len(bad)} of the {len(dataloader.dataset)} images of the '
                'k-NN validation could not be read, more than val_cfg.'
                f'max_bad_share={self.max_bad_share:g} allows: repair or '
                'remove them, or switch validation off (--no-validate).')
        return features
