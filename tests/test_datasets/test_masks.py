"""Mask generators against 20,000 draws of the official code."""

import random

import numpy as np
import pytest

from ibot_mm.datasets import (
    BlockMaskGenerator,
    MaskGlobalCrops,
    RandomMaskGenerator,
)
from tests.helpers import golden

CASES = golden.meta('masks')['cases']
DRAWS = golden.meta('masks')['draws']


def generator(settings, shape):
    cls = BlockMaskGenerator if shape == 'block' else RandomMaskGenerator
    return cls(settings['pred_ratio'], settings['pred_ratio_var'])


@pytest.mark.parametrize('case', sorted(CASES))
def test_distribution(case):
    settings, side, shape = CASES[case]
    rng = random.Random(1)
    make = generator(settings, shape)
    masks = np.stack([make.draw((side, side), rng) for _ in range(DRAWS)])
    official = {
        key.split('/')[1]: value
        for key, value in golden.load('masks').items()
        if key.startswith(case + '/')
    }
    counts = masks.sum((1, 2))
    theirs = official['counts']

    # Kolmogorov-Smirnov distance of the counts: two samples of n draws each
    # differ by more than 1.95 sqrt(2 / n) once in a thousand times.
    values = np.arange(side * side + 1)
    distance = np.abs(
        np.searchsorted(np.sort(counts), values, 'right') -
        np.searchsorted(np.sort(theirs), values, 'right')).max() / DRAWS
    assert distance < 1.95 * np.sqrt(2 / DRAWS)

    def near(ours, reference, spread):
        """Within 5 standard errors of the difference of two means."""
        assert np.all(
            np.abs(ours - reference) <= 5 * spread * np.sqrt(2 / DRAWS) +
            1e-12)

    empty = official['frac_empty']
    near((counts == 0).mean(), empty, np.sqrt(empty * (1 - empty)))
    near(counts.mean(), theirs.mean(), theirs.std())
    p = official['mean_map']
    near(masks.mean(0), p, np.sqrt(p * (1 - p)))
    # Their quantiles lie between ours a little to either side, where a step
    # of the distribution may be.
    q, margin = np.array(golden.meta('masks')['q']), 0.01
    below, above = (np.quantile(counts, (q + d).clip(0, 1))
                    for d in (-margin, margin))
    assert (below - 2 <= official['count_quantiles']).all()
    assert (official['count_quantiles'] <= above + 2).all()


@pytest.mark.parametrize('case', sorted(CASES))
def test_shape_of_the_masks(case):
    """Masked patches have masked neighbors as often as the official ones."""
    settings, side, shape = CASES[case]

    def clustering(masks):
        together = (masks[:, 1:] & masks[:, :-1]).sum((1, 2))
        return together.sum() / masks.sum()

    official = golden.load('masks')[f'{case}/first64_masks']
    make, rng = generator(settings, shape), random.Random(2)
    batches = [
        clustering(np.stack([make.draw((side, side), rng)
                             for _ in range(64)])) for _ in range(40)
    ]
    assert abs(np.mean(batches) - clustering(official)) < 4 * np.std(batches)


def test_rectangular_grid_and_budget():
    make, rng = BlockMaskGenerator(0.4, 0.), random.Random(0)
    for _ in range(200):
        mask = make.draw((6, 20), rng)
        assert mask.shape == (6, 20) and mask.dtype == bool
        assert 0 < mask.sum() <= 0.4 * 120
    # A block never spans the grid: 1 row can hold none.
    assert not make.draw((1, 20), rng).any()


def test_random_masks_have_the_exact_number():
    make, rng = RandomMaskGenerator(0.65, 0.), random.Random(0)
    assert {make.draw((14, 14), rng).sum() for _ in range(20)} == {127}


@pytest.mark.parametrize('ratio,var', [([0, 0.3], [0]), (0.1, 0.2), (0.9, 0.2),
                                       ([], [])])
def test_bad_ratios_raise(ratio, var):
    with pytest.raises(ValueError, match='mask ratio'):
        BlockMaskGenerator(ratio, var)


def test_only_global_crops_get_masks_on_the_grid_of_the_crop():
    transform = MaskGlobalCrops(
        dict(type='ibot_mm.RandomMaskGenerator', ratio=0.5, ratio_var=0.),
        patch_size=8)
    crops = [np.zeros((64, 48, 3), np.uint8)] * 2
    results = transform(
        dict(
            global_crops=crops,
            local_crops=[np.zeros((32, 32, 3), np.uint8)] * 4,
            rng=random.Random(0)))
    assert results['masks'].shape == (2, 8, 6)
    assert (results['masks'].sum((1, 2)) == 24).all()
    assert not np.array_equal(*results['masks'])


def test_late_start():
    transform = MaskGlobalCrops(
        RandomMaskGenerator(0.5, 0.), patch_size=8, start_epoch=3)
    crops = [np.zeros((32, 32, 3), np.uint8)] * 2

    def masked(epoch):
        return transform(
            dict(global_crops=crops, rng=random.Random(0),
                 epoch=epoch))['masks'].sum()

    assert [masked(epoch) for epoch in (0, 2, 3, 4)] == [0, 0, 16, 16]
    with pytest.raises(RuntimeError, match='PretrainSampler'):
        masked(None)
