"""What the loops of evaluations share: MMEngine's hooks around them."""

from mmengine.runner import BaseLoop


class EvaluationLoop(BaseLoop):
    """A validation or a test in which the model is in eval mode.

    Attributes:
        stage: 'test' or 'val', whose hooks are called.
    """

    stage = 'test'

    def run(self) -> dict[str, float]:
        """Evaluate, with the hooks of the stage before and after.

        Returns:
            The metrics.

        Raises:
            ValueError: See :meth:`evaluate`.
        """
        runner, stage = self.runner, self.stage
        runner.call_hook(f'before_{stage}')
        runner.call_hook(f'before_{stage}_epoch')
        runner.model.eval()
        metrics = self.evaluate()
        runner.call_hook(f'after_{stage}_epoch', metrics=metrics)
        runner.call_hook(f'after_{stage}')
        return metrics

    def evaluate(self) -> dict[str, float]:
        """Compute the metrics."""
        raise NotImplementedError
