"""Protocol of copy detection on Copydays."""

import numpy as np
import torch
import torch.nn.functional as F

from ibot_mm.datasets.copydays import WHITENING, copydays_blocks
from ibot_mm.evaluation.features import Features
from ibot_mm.registry import EVALUATORS

from .average_precision import average_precision
from .whitening import fit_whitening


@EVALUATORS.register_module()
class CopyDetection:
    """Mean average precision per block, of the nearest images by cosine.

    Args:
        data_root: Folder of the data set.
        top: Number of images of the database that are looked at.
    """

    needs_bank = True

    def __init__(self, data_root: str, top: int = 20) -> None:
        self.data_root = data_root
        self.top = top

    def __call__(self, queries: Features, bank: Features,
                 device: torch.device) -> dict[str, float]:
        """Find the original of each query.

        Args:
            queries: Features of ``Copydays`` with ``split='queries'``.
            bank: Features of its database. Those for the whitening, if there
                are any, are not searched.
            device: Device to compute on.

        Returns:
            ``copydays/<block>_mAP`` in percent.

        Raises:
            ValueError: The queries are of another folder.
        """
        blocks = copydays_blocks(self.data_root)
        if sum(map(len, blocks.values())) != len(queries.labels):
            raise ValueError(
                f'"{self.data_root}" has {sum(map(len, blocks.values()))} '
                f'queries, but the data set has {len(queries.labels)}; set '
                'data_root of the protocol and of the data sets to the same '
                'folder.')
        learning = bank.labels == WHITENING
        vectors, database = queries.vectors, bank.vectors[~learning]
        if learning.any():
            mean, matrix = fit_whitening(bank.vectors[learning])
            vectors = (vectors - mean) @ matrix
            database = (database - mean) @ matrix
        similarity = F.normalize(vectors.to(device)) @ F.normalize(
            database.to(device)).T
        top = similarity.topk(min(self.top, len(database))).indices.cpu()
        hits = bank.labels[~learning][top] == queries.labels[:, None]
        precisions = [average_precision(row.nonzero().flatten().tolist(), 1)
                      for row in hits]
        metrics, start = {}, 0
        for block, paths in blocks.items():
            stop = start + len(paths)
            metrics[f'copydays/{block}_mAP'] = 100 * float(
                np.mean(precisions[start:stop]))
            start = stop
        return metrics
