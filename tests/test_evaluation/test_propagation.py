"""Propagation of masks, on videos whose patches are known."""

import math
import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ibot_mm.evaluation import LabelPropagation
from ibot_mm.evaluation.video import labels_from_soft
from ibot_mm.evaluation.video.propagation import resize_labels
from tests.helpers import golden


def by_loops(grids, labels, radius, num_frames, topk, temperature):
    """Patch by patch, with labels (h, w) of the first frame's patches."""
    height, width, _ = grids[0].shape
    channels = int(labels.max()) + 1
    masks = [[[[float(k == labels[y, x]) for k in range(channels)]
               for x in range(width)] for y in range(height)]]

    def cosine(a, b):
        return float(a @ b / a.norm() / b.norm())

    for now in range(1, len(grids)):
        context = sorted({0, *range(max(0, now - num_frames), now)})
        rows = []
        for y in range(height):
            row = []
            for x in range(width):
                candidates = [
                    (cosine(grids[now][y, x], grids[t][v, u]), masks[t][v][u])
                    for t in context
                    for v in range(height) for u in range(width)
                    if max(abs(v - y), abs(u - x)) <= radius]
                nearest = sorted(candidates, key=lambda c: -c[0])[:topk]
                weights = [math.exp(c / temperature) for c, _ in nearest]
                row.append([
                    sum(w * m[k] for w, (_, m) in zip(weights, nearest))
                    / sum(weights) for k in range(channels)])
            rows.append(row)
        masks.append(rows)
    return torch.tensor(masks[1:]).permute(0, 3, 1, 2)


@pytest.mark.parametrize('settings', [
    dict(radius=1, num_frames=2, topk=3, temperature=0.1),
    dict(radius=12, num_frames=1, topk=5, temperature=1.),
    dict(radius=0, num_frames=7, topk=5, temperature=0.5),
])
def test_equals_plain_loops(settings):
    grids = list(torch.randn(6, 3, 4, 5, dtype=torch.double))
    labels = np.uint8([[0, 1, 1, 0], [0, 1, 1, 0], [2, 2, 0, 0]])
    found = torch.stack(list(LabelPropagation(**settings)(grids, labels)))
    torch.testing.assert_close(
        found, by_loops(grids, labels, **settings).double())


def test_equals_the_code_of_dino():
    """Every pixel of the masks, at the size of the first one."""
    labels = golden.load('davis')['labels']
    softs = LabelPropagation()(golden.tensor('davis', 'grids'), labels)
    found = [resize_labels(
        labels_from_soft(soft, golden.meta('davis')['size']), labels.shape)
        for soft in softs]
    assert np.array_equal(found, golden.load('davis')['masks'])


LABELS = np.uint8([[0, 0, 0, 0, 0, 0], [0, 1, 1, 0, 2, 0],
                   [0, 1, 1, 0, 2, 0], [0, 0, 0, 0, 0, 0]])


def patch_labels(grids, labels):
    return [soft.argmax(0).numpy()
            for soft in LabelPropagation()(grids, labels)]


def test_a_still_video_keeps_its_mask():
    grid = torch.eye(24).reshape(4, 6, 24)
    found = patch_labels([grid] * 12, LABELS)
    assert len(found) == 11
    assert all(np.array_equal(mask, LABELS) for mask in found)


def test_a_still_video_keeps_the_pixels_of_straight_borders():
    """Corners of patches are rounded off when they are enlarged."""
    labels = np.tile(np.uint8([0, 0, 1, 1, 2, 2]).repeat(8), (32, 1))
    grid = torch.eye(24).reshape(4, 6, 24)
    for soft in LabelPropagation()([grid] * 4, labels):
        assert np.array_equal(labels_from_soft(soft, (32, 48)), labels)


def test_masks_move_with_the_patches():
    """The scene moves to the right by one patch, then down by one."""
    scene = torch.eye(100).reshape(10, 10, 100)
    grids = [scene[2:6, 2:8], scene[2:6, 1:7], scene[1:5, 1:7]]
    right, down = patch_labels(grids, LABELS)
    # Nothing is known about the patches that appear at the border.
    assert np.array_equal(right[:, 1:], LABELS[:, :-1])
    assert np.array_equal(down[1:, 1:], LABELS[:-1, :-1])


def test_nothing_moves_further_than_the_radius():
    """A patch that jumps by two columns is lost at a radius of one."""
    grids = torch.zeros(2, 1, 4, 2)
    grids[..., 0] = 1
    grids[0, 0, 0] = grids[1, 0, 2] = torch.tensor([0., 1.])
    labels = np.uint8([[1, 0, 0, 0]])
    near, = LabelPropagation(radius=1, topk=1)(list(grids), labels)
    far, = LabelPropagation(radius=2, topk=1)(list(grids), labels)
    assert near.argmax(0).tolist() == [[0, 0, 0, 0]]
    assert far.argmax(0).tolist() == [[0, 0, 1, 0]]


def test_frames_are_taken_one_by_one():
    """And no more of them are kept than are needed."""
    alive = []

    def grids():
        for _ in range(9):
            grid = torch.randn(2, 2, 3)
            alive.append(weakref.ref(grid))
            yield grid
            del grid
            assert sum(ref() is not None for ref in alive) <= 2

    steps = LabelPropagation(num_frames=2)(
        grids(), np.ones((2, 2), np.uint8))
    next(steps)
    assert len(alive) == 2
    assert len(list(steps)) == 7


def test_soft_masks_are_scaled_to_the_same_range():
    """A faint object wins where it is strongest; a constant mask is kept."""
    soft = torch.tensor([[[0.9, 0.7]], [[0.1, 0.3]]])
    assert labels_from_soft(soft, (1, 2)).tolist() == [[0, 1]]
    alone = torch.tensor([[[1., 1.]], [[0., 0.]]])
    assert labels_from_soft(alone, (2, 4)).tolist() == [[0] * 4] * 2
    large = F.interpolate(soft[None], size=(2, 4), mode='bilinear')[0]
    assert large[0, 0].tolist() == pytest.approx([0.9, 0.85, 0.75, 0.7])
    assert labels_from_soft(soft, (2, 4)).tolist() == [[0, 0, 1, 1]] * 2
