"""k-NN classification with the teacher's features during pre-training."""

from typing import Dict, Sequence, Tuple, Union

import torch
from mmengine.dist import all_gather, all_reduce, get_world_size
from mmengine.runner import BaseLoop
from torch import Tensor
from torch.utils.data import DataLoader

from ibot_mm.engine.unwrapped import unwrapped_model
from ibot_mm.evaluation import extract_features, knn_predict
from ibot_mm.registry import LOOPS


def _gather(tensor: Tensor) -> Tensor:
    """Rows of all ranks, which may hold different numbers of them."""
    if get_world_size() == 1:
        return tensor
    counts = [int(c) for c in all_gather(tensor.new_tensor(
        [len(tensor)], dtype=torch.long))]
    padded = tensor.new_zeros(max(counts), *tensor.shape[1:])
    padded[:len(tensor)] = tensor
    return torch.cat(
        [rows[:count] for rows, count in zip(all_gather(padded), counts)])


@LOOPS.register_module()
class KNNValLoop(BaseLoop):
    """Weighted k-NN of a labelled set against a labelled bank.

    Args:
        runner: The runner.
        dataloader: Queries.
        bank_dataloader: Labelled images that vote.
        evaluator: Not used; MMEngine wants one, ``[]`` will do.
        k: Numbers of neighbours; one accuracy each.
        temperature: Of the votes, exp(similarity / temperature).
        topk: Which accuracies to report.
    """

    def __init__(self,
                 runner,
                 dataloader: Union[DataLoader, Dict],
                 bank_dataloader: Dict,
                 evaluator=None,
                 k: Sequence[int] = (10, 20, 100, 200),
                 temperature: float = 0.07,
                 topk: Sequence[int] = (1, 5)) -> None:
        super().__init__(runner, dataloader)
        self.bank_dataloader = runner.build_dataloader(
            bank_dataloader, seed=runner.seed)
        self.k = list(k)
        self.temperature = temperature
        self.topk = list(topk)

    def extract(self, dataloader: DataLoader) -> Tuple[Tensor, Tensor]:
        """Teacher features and labels of this rank's part of a data set."""
        model = unwrapped_model(self.runner)
        return extract_features(model.extract_feat, model.data_preprocessor,
                                dataloader)

    def run(self) -> Dict[str, float]:
        """Classify the queries.

        Returns:
            ``knn/k<k>_top<n>`` in percent, for each k and n, and
            ``knn/top1``, the first k's.

        Raises:
            ValueError: A label is missing, or k exceeds the bank.
        """
        runner = self.runner
        runner.call_hook('before_val')
        runner.call_hook('before_val_epoch')
        runner.model.eval()
        bank, bank_labels = map(_gather, self.extract(self.bank_dataloader))
        queries, labels = self.extract(self.dataloader)
        num_classes = int(max(bank_labels.max(), labels.max())) + 1
        metrics = {}
        for k in self.k:
            ranking = knn_predict(bank, bank_labels, queries, k,
                                  self.temperature, num_classes)
            hits = ranking == labels.unsqueeze(1)
            for n in self.topk:
                counts = torch.stack([
                    hits[:, :n].any(1).sum(),
                    hits.new_tensor(len(hits), dtype=torch.long)
                ])
                all_reduce(counts)
                metrics[f'knn/k{k}_top{n}'] = float(
                    100 * counts[0] / counts[1])
        metrics['knn/top1'] = metrics[f'knn/k{self.k[0]}_top{self.topk[0]}']
        runner.call_hook('after_val_epoch', metrics=metrics)
        runner.call_hook('after_val')
        return metrics
