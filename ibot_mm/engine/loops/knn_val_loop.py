"""k-NN validation of the teacher during pre-training."""

from collections.abc import Sequence

from torch.utils.data import DataLoader

from ibot_mm.registry import LOOPS

from .feature_loop import FeatureTestLoop


@LOOPS.register_module()
class KNNValLoop(FeatureTestLoop):
    """Weighted k-NN classification of a labeled set by a labeled bank.

    Args:
        runner: The runner.
        dataloader: Query images.
        bank_dataloader: Labeled images of the bank.
        evaluator: Not used; MMEngine requires one, ``[]`` is enough.
        k: Numbers of neighbors; one accuracy each.
        temperature: Temperature of the vote weights,
            exp(similarity / temperature).
        topk: Which top-n accuracies to report.
    """

    stage = 'val'

    def __init__(self,
                 runner,
                 dataloader: DataLoader | dict,
                 bank_dataloader: dict,
                 evaluator=None,
                 k: Sequence[int] = (10, 20, 100, 200),
                 temperature: float = 0.07,
                 topk: Sequence[int] = (1, 5)) -> None:
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
