"""k-NN validation of the teacher during pre-training."""

from collections.abc import Sequence

from torch.utils.data import DataLoader

from ibot_mm.registry import LOOPS

from .teacher_val_loop import TeacherValLoop


@LOOPS.register_module()
class KNNValLoop(TeacherValLoop):
    """Weighted k-NN classification of a labeled set by a labeled bank.

    Evaluators get the features of the query images.

    Args:
        runner: The runner.
        dataloader: Query images.
        bank_dataloader: Labeled images of the bank.
        k: Numbers of neighbors; one accuracy each.
        temperature: Temperature of the vote weights,
            exp(similarity / temperature).
        topk: Which top-n accuracies to report.
        **kwargs: Passed to :class:`TeacherValLoop`: ``evaluator``, ``views``,
            ``max_bad_share``, ``log_interval``.
    """

    def __init__(self,
                 runner,
                 dataloader: DataLoader | dict,
                 bank_dataloader: dict,
                 k: Sequence[int] = (10, 20, 100, 200),
                 temperature: float = 0.07,
                 topk: Sequence[int] = (1, 5),
                 **kwargs) -> None:
        super().__init__(
            runner,
            dataloader,
            protocol=dict(
                type='ibot_mm.KNNClassification',
                k=k,
                temperature=temperature,
                topk=topk),
            bank_dataloader=bank_dataloader,
            **kwargs)
