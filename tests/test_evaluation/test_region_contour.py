"""J and F against sets of pixels and distances, and by hand."""

import itertools
import math

import numpy as np
import pytest

from ibot_mm.evaluation.video import score_frame
from ibot_mm.evaluation.video.region_contour import (
    contour,
    contour_accuracy,
    region_similarity,
)
from tests.helpers import golden


def square(top, left, side=10, size=(24, 36)):
    mask = np.zeros(size, bool)
    mask[top:top + side, left:left + side] = True
    return mask


def contour_pixels(mask):
    """Pixel by pixel, in lists."""
    height, width = mask.shape
    return [
        (y, x) for y, x in itertools.product(range(height), range(width))
        if any(mask[y, x] != mask[y + dy, x + dx]
               for dy, dx in ((0, 1), (1, 0), (1, 1))
               if y + dy < height and x + dx < width)]


def f_by_distances(predicted, truth):
    """All distances between the pixels of the contours."""
    tolerance = math.ceil(0.008 * math.hypot(*truth.shape))
    own, other = contour_pixels(predicted), contour_pixels(truth)
    if not own or not other:
        return float(len(own) == len(other))

    def matched(pixels, others):
        return np.mean([min(math.dist(p, q) for q in others) <= tolerance
                        for p in pixels])

    precision, recall = matched(own, other), matched(other, own)
    total = precision + recall
    return 2 * precision * recall / total if total else 0.


EMPTY = np.zeros((24, 36), bool)
rng = np.random.default_rng(0)
MASKS = [
    EMPTY, ~EMPTY, square(5, 5), square(5, 6), square(7, 9), square(12, 24),
    square(0, 0), square(14, 26), square(5, 5) | square(16, 20, 6),
    rng.random((24, 36)) < 0.02]


@pytest.mark.parametrize('truth', MASKS)
def test_contours_match_within_the_tolerance(truth):
    """24 x 36 pixels have a tolerance of 1."""
    assert list(zip(*np.nonzero(contour(truth)))) == contour_pixels(truth)
    for predicted in MASKS:
        assert contour_accuracy(predicted, truth) == pytest.approx(
            f_by_distances(predicted, truth))


def test_the_tolerance_is_a_disc():
    """Of radius 3 in 9 x 370 pixels, where corners of a square differ."""
    truth, dot = np.zeros((2, 9, 370), bool)
    truth[2, 50] = True
    for dy, dx in ((2, 2), (3, 3), (4, 2), (4, 4)):
        dot[:] = False
        dot[2 + dy, 50 + dx] = True
        assert contour_accuracy(dot, truth) == pytest.approx(
            f_by_distances(dot, truth))


@pytest.mark.parametrize('predicted, truth, j', [
    (square(5, 5), square(5, 5), 1),
    (square(5, 5), square(5, 10), 50 / 150),
    (square(5, 5), square(5, 15), 0),
    (square(5, 5), EMPTY, 0),
    (EMPTY, square(5, 5), 0),
    (EMPTY, EMPTY, 1),
])
def test_region_similarity_by_hand(predicted, truth, j):
    assert region_similarity(predicted, truth) == pytest.approx(j)


def test_equals_the_code_of_the_authors():
    """Three objects, of which there are two, and void."""
    arrays = golden.load('davis')
    for mask, truth, scores in zip(*(
            arrays[key] for key in ('masks', 'truth', 'scores'))):
        np.testing.assert_array_equal(score_frame(mask, truth, 3), scores)


def test_two_objects_and_void():
    truth, predicted = np.zeros((2, 24, 36), np.uint8)
    truth[square(5, 5)], truth[square(12, 24)] = 1, 2
    predicted[square(5, 10)], predicted[square(12, 24)] = 1, 2
    (j1, f1), (j2, f2) = score_frame(predicted, truth, 2)
    assert j1 == pytest.approx(50 / 150)
    assert f1 == pytest.approx(f_by_distances(square(5, 10), square(5, 5)))
    assert (j2, f2) == (1, 1)
    # The half of the prediction that is wrong lies in the void.
    truth[5:15, 15:20] = 255
    assert score_frame(predicted, truth, 2)[0, 0] == pytest.approx(50 / 100)
    # A third object that nobody predicts, and that is nowhere.
    assert score_frame(predicted, truth, 3)[2].tolist() == [1, 1]
