"""Evaluation of the teacher during pre-training."""

from collections.abc import Sequence
from functools import partial

from mmengine.dist import all_gather_object
from mmengine.runner import BaseLoop
from torch.utils.data import DataLoader

from ibot_mm.datasets.evaluation_dataset import (
    EvaluationDataset,
    collate_readable,
)
from ibot_mm.distributed.unwrap import unsharded_model, unwrapped_model
from ibot_mm.engine.hooks import BadFileHook
from ibot_mm.evaluation import Features, FrozenTeacher, ViewDataset
from ibot_mm.registry import DATASETS, EVALUATORS, LOOPS

from .feature_loop import FeatureTestLoop


@LOOPS.register_module()
class TeacherValLoop(FeatureTestLoop):
    """Quality of the teacher's features; most evaluators need no labels.

    In a training, a file that cannot be read is left out instead of ending
    it, and ``BadFileHook`` lists it.

    Args:
        runner: The runner.
        dataloader: Images, with or without labels.
        evaluator: Configs of evaluators of ``ibot_mm.evaluation``, which get
            a :class:`FrozenTeacher`.
        views: Settings of :class:`ViewDataset`, for the evaluators that look
            at augmented views.
        max_bad_share: Largest fraction of unreadable files in a training.
        protocol: Of :class:`FeatureTestLoop`; None for the evaluators alone.
        bank_dataloader: Labeled images for fitting the protocol.
        log_interval: Number of batches between progress lines; 0 for none.

    Raises:
        ValueError: An evaluator is a protocol of :class:`FeatureTestLoop`.
    """

    stage = 'val'

    def __init__(self,
                 runner,
                 dataloader: DataLoader | dict,
                 evaluator: Sequence[dict] | dict = (),
                 views: dict | None = None,
                 max_bad_share: float = 0.1,
                 protocol: dict | None = None,
                 bank_dataloader: dict | None = None,
                 log_interval: int = 0) -> None:
        # No cache of features: those of a training change.
        super().__init__(runner, dataloader, protocol, bank_dataloader,
                         log_interval=log_interval)
        if isinstance(evaluator, dict):
            evaluator = [evaluator]
        self.evaluators = [EVALUATORS.build(cfg) for cfg in evaluator or ()]
        for built in self.evaluators:
            if hasattr(built, 'needs_bank'):
                raise ValueError(
                    f'val_evaluator: {type(built).__name__} is a protocol of '
                    'FeatureTestLoop (test_cfg.protocol).')
        self.views = DATASETS.build(dict(
            views or {}, type=ViewDataset, images=self.dataloader.dataset))
        self.max_bad_share = max_bad_share
        self._known_bad: set[str] = set()
        # Without a training, the runner has the config of a loop, or none.
        training = isinstance(runner._train_loop, BaseLoop)
        for loader in filter(None, (self.dataloader, self.bank_dataloader)):
            if training and isinstance(loader.dataset, EvaluationDataset):
                loader.dataset.skip_unreadable = True
                loader.collate_fn = partial(
                    collate_readable, collate=loader.collate_fn)

    def evaluate(self) -> dict[str, float]:
        """Metrics of the protocol, if there is one, and of the evaluators."""
        features = self.extract(self.dataloader, self.recipes[0])
        metrics = self.run_protocol(features) if self.protocol else {}
        if self.evaluators:
            with unsharded_model(self.runner) as model:
                teacher = FrozenTeacher(
                    model, unwrapped_model(self.runner).data_preprocessor,
                    features, self.views, self.dataloader.batch_size,
                    self.dataloader.num_workers)
                for evaluator in self.evaluators:
                    metrics.update(evaluator(teacher))
        return metrics

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
                    f'Bad file: {path} {reason}; the validation leaves it '
                    'out.')
        for hook in self.runner.hooks:
            if isinstance(hook, BadFileHook):
                hook.bad_files.update(self.bad_files)
        if len(bad) > self.max_bad_share * len(dataloader.dataset):
            raise ValueError(
                f'{len(bad)} of the {len(dataloader.dataset)} images of the '
                'validation could not be read, more than val_cfg.'
                f'max_bad_share={self.max_bad_share:g} allows: repair or '
                'remove them, or switch validation off (--no-validate).')
        return features
