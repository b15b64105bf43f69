"""Test loop for protocols on frozen features."""

import torch
from mmengine.config import ConfigDict
from torch.utils.data import DataLoader

from ibot_mm.distributed.unwrap import unsharded_model, unwrapped_model
from ibot_mm.evaluation import FeatureCache, Features, extract_features
from ibot_mm.registry import EVALUATORS, LOOPS

from .evaluation_loop import EvaluationLoop


@LOOPS.register_module()
class FeatureTestLoop(EvaluationLoop):
    """Extract features of images and run a protocol on them.

    Args:
        runner: The runner; its model must have ``extract_feat``.
        dataloader: Images to classify or to find.
        protocol: Config of ``KNNClassification``, ``LogisticRegression``,
            ``PrototypeClustering``, ``RevisitedRetrieval`` or
            ``CopyDetection``; None in a validation without labels.
        bank_dataloader: Images for fitting the protocol, or to search in.
        evaluator: Not used; MMEngine requires one, ``[]`` is enough.
        cache_dir: Folder of cached features (see ``FeatureCache``); None
            disables the cache.
        log_interval: Number of batches between progress lines.

    Raises:
        ValueError: The protocol needs ``bank_dataloader``.
    """

    def __init__(self,
                 runner,
                 dataloader: DataLoader | dict,
                 protocol: dict | None,
                 bank_dataloader: dict | None = None,
                 evaluator=None,
                 cache_dir: str | None = None,
                 log_interval: int = 50) -> None:
        self.recipes = [
            self._recipe(config) for config in (dataloader, bank_dataloader)
        ]
        super().__init__(runner, dataloader)
        self.protocol = EVALUATORS.build(protocol) if protocol else None
        self.bank_dataloader = None
        if self.protocol is not None and self.protocol.needs_bank:
            if bank_dataloader is None:
                raise ValueError(f'{type(self.protocol).__name__} needs '
                                 f'{self.stage}_cfg.bank_dataloader.')
            self.bank_dataloader = runner.build_dataloader(
                bank_dataloader, seed=runner.seed)
        self.cache = FeatureCache(cache_dir) if cache_dir else None
        self.log_interval = log_interval
        # Files of the last extraction that were left out, on this rank.
        self.bad_files: list[tuple[str, str]] = []

    @staticmethod
    def _recipe(dataloader) -> str | None:
        """Config of a data loader's data set as text, if it has one."""
        if not isinstance(dataloader, dict):
            return None
        dataset = dataloader['dataset']
        return str(ConfigDict(dataset).to_dict()) if isinstance(
            dataset, dict) else None

    def extract(self, dataloader: DataLoader,
                recipe: str | None) -> Features:
        """Features of a data set, from the cache if possible."""
        model = unwrapped_model(self.runner)
        path = None
        if self.cache is not None and recipe is not None:
            path = self.cache.path(model,
                                   f'{model.feature_settings} {recipe}',
                                   dataloader.dataset)
            features = self.cache.load(path)
            if features is not None:
                return features
        self.bad_files = []
        with unsharded_model(self.runner) as unsharded:
            features = extract_features(unsharded.extract_feat,
                                        model.data_preprocessor, dataloader,
                                        self.log_interval, self.bad_files,
                                        self.protocol is not None)
        if path is not None:
            self.cache.save(path, features)
        return features

    def evaluate(self) -> dict[str, float]:
        """Metrics of the protocol.

        Raises:
            ValueError: A label is missing, a feature is non-finite, or the
                protocol cannot use the data.
        """
        return self.run_protocol(
            self.extract(self.dataloader, self.recipes[0]))

    def run_protocol(self, queries: Features) -> dict[str, float]:
        """Metrics of the protocol for the features of the images."""
        bank = None
        if self.bank_dataloader is not None:
            bank = self.extract(self.bank_dataloader, self.recipes[1])
        device = next(self.runner.model.parameters()).device
        return self.protocol(queries, bank, torch.device(device))
