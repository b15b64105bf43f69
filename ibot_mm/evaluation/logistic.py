"""Logistic regression on frozen features."""

import warnings
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.dist import broadcast, is_main_process
from mmpretrain.utils import require

from ibot_mm.registry import EVALUATORS

from .features import Features


@EVALUATORS.register_module()
class LogisticRegression:
    """Multinomial logistic regression on unit-length features, without bias.

    Minimizes the sum of the cross-entropies + lambda / 2 ||W||^2 with
    scikit-learn's L-BFGS (C = 1 / lambda). This is an interpretation of the
    protocol: the procedure described by DINO's authors divides lambda by the
    number of images, because its solver minimizes the mean
    (facebookresearch/dino, issue 121). The official iBOT script omits the
    division and is reported to give 58.0 instead of the published 65.9 with
    the official weights and 1% of the labels (bytedance/ibot, issue 21).

    Args:
        lambdas: Strengths of the penalty; one accuracy each.
        max_iter: Maximum number of solver iterations.
        tol: Stopping threshold for the largest element of the gradient of the
            mean loss with two classes. Elements shrink with the number of
            classes K, so the solver's threshold is tol 2 / K.
    """

    needs_bank = True

    def __init__(self,
                 lambdas: Sequence[float] = (0.01, 0.1, 1.0),
                 max_iter: int = 1000,
                 tol: float = 1e-5) -> None:
        self.lambdas = list(lambdas)
        self.max_iter = max_iter
        self.tol = tol

    def __call__(self, queries: Features, bank: Features,
                 device: torch.device) -> dict[str, float]:
        """Fit on the bank and classify the queries, on the main process.

        Args:
            queries: Features to classify.
            bank: Features to fit.
            device: Not used; scikit-learn runs on the CPU.

        Returns:
            ``logistic/lambda<l>`` in percent for each lambda, the best
            accuracy ``logistic/top1`` and its ``logistic/lambda``.

        Raises:
            ValueError: The bank has only one class.
        """
        if len(bank.labels.unique()) < 2:
            raise ValueError('logistic regression needs at least two classes '
                             'in the training set, got one.')
        scores = torch.zeros(len(self.lambdas), dtype=torch.float64)
        if is_main_process():
            for i, strength in enumerate(self.lambdas):
                scores[i] = self._accuracy(queries, bank, strength)
        broadcast(scores)
        metrics = {
            f'logistic/lambda{strength:g}': float(score)
            for strength, score in zip(self.lambdas, scores)
        }
        best = int(scores.argmax())
        metrics['logistic/top1'] = float(scores[best])
        metrics['logistic/lambda'] = self.lambdas[best]
        return metrics

    @require('scikit-learn')
    def fit(self, bank: Features, strength: float):
        """Fit scikit-learn's classifier.

        Args:
            bank: Features to fit.
            strength: Penalty strength lambda.

        Raises:
            RuntimeError: The solver did not converge.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression as Solver
        solver = Solver(
            C=1 / strength,
            fit_intercept=False,
            max_iter=self.max_iter,
            tol=self.tol * 2 / len(bank.labels.unique()))
        with warnings.catch_warnings():
            warnings.simplefilter('error', ConvergenceWarning)
            try:
                solver.fit(
                    F.normalize(bank.vectors, dim=-1).numpy(),
                    bank.labels.numpy())
            except ConvergenceWarning as error:
                reason = str(error).splitlines()[0]
                raise RuntimeError(
                    f'logistic regression with lambda = {strength:g} did not '
                    f'converge ({reason}): raise protocol.max_iter '
                    f'({self.max_iter}) or protocol.tol ({self.tol:g}).'
                ) from error
        return solver

    def _accuracy(self, queries: Features, bank: Features,
                  strength: float) -> float:
        predicted = self.fit(bank, strength).predict(
            F.normalize(queries.vectors, dim=-1).numpy())
        return 100 * float((predicted == queries.labels.numpy()).mean())
