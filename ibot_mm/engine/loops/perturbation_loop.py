"""Test loop for a classifier on images with dropped or shuffled patches."""

from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from torch import Tensor
from torch.utils.data import DataLoader

from ibot_mm.distributed.unwrap import unwrapped_model
from ibot_mm.evaluation.robustness.perturbation_accuracy import (
    PerturbationAccuracy,
)
from ibot_mm.evaluation.robustness.perturbations import (
    drop_patches,
    first_patches,
    permutations,
    shuffle_cells,
)
from ibot_mm.registry import LOOPS, MODELS
from ibot_mm.visualization.attention import (
    cls_attention,
    has_cls_token,
    mass_mask,
)
from ibot_mm.visualization.robustness_curves import draw_curves

from .evaluation_loop import EvaluationLoop

TENTHS = tuple(i / 10 for i in range(11))


def _name(grid: Sequence[int]) -> str:
    return f'{grid[0]}x{grid[1]}'


@LOOPS.register_module()
class PerturbationTestLoop(EvaluationLoop):
    """Top-1 accuracy with dropped and with shuffled patches.

    Patches are dropped at random, where the CLS token attends ("salient"), or
    where it does not ("non-salient"): they are set to the mean color. Salient
    patches are the fewest that hold a share of the attention. The name says
    what is dropped. To shuffle, images are cut into cells that are put back in
    a random order.

    The random numbers of an image depend on ``seed``, the repeat and the
    number of the image alone, not on batches and processes.

    Metrics, accuracies in percent: ``clean``; ``random_R`` for each ratio,
    ``salient_M`` and ``non_salient_M`` for each share of the attention, with
    the mean share of the patches that is dropped in ``.._loss``;
    ``random_at_0.5``, ``salient_at_0.5`` and ``non_salient_at_0.5``, the
    accuracies interpolated linearly to a loss of half the patches;
    ``shuffle_HxW``. Those that are random are means over the repeats, with
    the standard deviation in ``.._std``. ``perturbations.png`` in the work
    dir has the curves, if matplotlib is installed.

    Args:
        runner: The runner; its model is an ``ImageClassifier``.
        dataloader: Labeled images. The sampler must not repeat samples
            (``round_up=False``).
        evaluator: Not used; MMEngine requires one, ``[]`` is enough.
        ratios: Shares of the patches to drop at random.
        masses: Shares of the attention; () drops no patches by attention.
        grids: Rows and columns of the cells to shuffle. Those that do not
            divide the image are left out; the log names them.
        repeats: Number of random drops and shuffles of each image.
        drop_grid: Rows and columns of the patches to drop at random.
        saliency: Config of an ``IBOTViT`` with ``init_cfg`` whose attention
            counts; the classifier's own backbone if None.
        saliency_head: Head that counts, from 0; the mean of all if None.
        seed: Seed of the random numbers.
        log_interval: Number of batches between progress lines.

    Raises:
        ValueError: ``drop_grid`` does not divide the image, or attention is
            wanted of a backbone without a CLS token.
    """

    def __init__(self,
                 runner,
                 dataloader: DataLoader | dict,
                 evaluator=None,
                 ratios: Sequence[float] = TENTHS[:-1],
                 masses: Sequence[float] = TENTHS[1:],
                 grids: Sequence[Sequence[int]] = (
                     (1, 1), (2, 2), (2, 4), (4, 4), (4, 8), (8, 8),
                     (14, 14), (16, 16)),
                 repeats: int = 3,
                 drop_grid: Sequence[int] = (14, 14),
                 saliency: dict | None = None,
                 saliency_head: int | None = None,
                 seed: int = 0,
                 log_interval: int = 10) -> None:
        super().__init__(runner, dataloader)
        self.ratios, self.masses, self.grids = ratios, masses, grids
        self.repeats, self.drop_grid, self.seed = repeats, drop_grid, seed
        self.saliency_head, self.log_interval = saliency_head, log_interval
        self.saliency = None
        if saliency is not None:
            self.saliency = MODELS.build(saliency)
            self.saliency.init_weights()
            self.saliency.eval()
        self.accuracy = PerturbationAccuracy([], 0)

    def evaluate(self) -> dict[str, float]:
        """Classify all images with all perturbations.

        Returns:
            The metrics.
        """
        self.accuracy = PerturbationAccuracy(
            [('clean', ''), *(('random', f'{r:g}') for r in self.ratios),
             *((kind, f'{m:g}') for kind in ('salient', 'non_salient')
               for m in self.masses),
             *(('shuffle', _name(grid)) for grid in self.grids)],
            self.repeats)
        for i, batch in enumerate(self.dataloader):
            self._run_batch(batch)
            if (i + 1) % self.log_interval == 0:
                print_log(f'perturbations [{i + 1}/{len(self.dataloader)}]',
                          'current')
        self.accuracy.reduce()
        metrics = {f'perturbation/{key}': value
                   for key, value in self.accuracy.metrics().items()}
        if is_main_process():
            self._draw()
        return metrics

    @torch.no_grad()
    def _run_batch(self, batch: dict) -> None:
        """Classify a batch with all perturbations."""
        model = unwrapped_model(self.runner)
        data = model.data_preprocessor(batch, False)
        images, samples = data['inputs'], data['data_samples']
        labels = torch.cat([sample.gt_label for sample in samples])
        numbers = [sample.sample_idx for sample in samples]

        def test(kind: str, setting: str, repeat: int, inputs: Tensor,
                 lost: Tensor | None = None) -> None:
            self.accuracy.add(kind, setting, repeat,
                              model(inputs).argmax(1) == labels, lost)

        test('clean', '', 0, images)
        if self.masses:
            attention = self._attention(images)
        for mass in self.masses:
            salient = mass_mask(attention, mass)
            for kind, lost in (('salient', salient),
                               ('non_salient', ~salient)):
                test(kind, f'{mass:g}', 0, drop_patches(images, lost), lost)
        grids = [grid for grid in self.grids if self._fits(grid, images)]
        if self.ratios and not self._fits(self.drop_grid, images):
            raise ValueError(
                f'drop_grid of {_name(self.drop_grid)} patches does not '
                f'divide images of {_name(images.shape[2:])}: set '
                'test_cfg.drop_grid.')
        for repeat in range(self.repeats):
            order = self._permutations(self.drop_grid, repeat, numbers, images)
            for ratio in self.ratios:
                lost = first_patches(order, ratio, self.drop_grid)
                test('random', f'{ratio:g}', repeat,
                     drop_patches(images, lost), lost)
            for grid in grids:
                order = self._permutations(grid, repeat, numbers, images)
                test('shuffle', _name(grid), repeat,
                     shuffle_cells(images, grid, order))

    @staticmethod
    def _fits(grid: Sequence[int], images: Tensor) -> bool:
        return not any(side % count for side, count in zip(
            images.shape[2:], grid))

    def _permutations(self, grid: Sequence[int], repeat: int,
                      numbers: Sequence[int], images: Tensor) -> Tensor:
        """Orders of the cells of a grid, one for each image."""
        return permutations(grid[0] * grid[1], [
            (self.seed, repeat, number) for number in numbers
        ]).to(images.device)

    def _attention(self, images: Tensor) -> Tensor:
        """Attention of the CLS token to the patches, (B, h, w)."""
        backbone = self.saliency or unwrapped_model(self.runner).backbone
        if not has_cls_token(backbone):
            raise ValueError(
                f'{type(backbone).__name__} has no CLS token whose attention '
                'could tell what is salient: set test_cfg.saliency to an '
                'IBOTViT, or test_cfg.masses=[].')
        heads = cls_attention(backbone.to(images.device), images).to(
            images.device)
        return heads.mean(1) if self.saliency_head is None else (
            heads[:, self.saliency_head])

    def _draw(self) -> None:
        """Draw the curves, and name the grids that were left out."""
        done = self.accuracy.points('shuffle')
        left_out = [name for name in map(_name, self.grids)
                    if name not in done]
        if left_out:
            print_log('not shuffled, because the cells do not divide the '
                      f'images: {", ".join(left_out)}', 'current')
        path = Path(self.runner.work_dir) / 'perturbations.png'
        try:
            draw_curves(path, self.accuracy.panels())
        except ImportError as error:
            print_log(f'no curves: {error}', 'current')
        else:
            print_log(f'curves: {path}', 'current')
