"""k-NN segmentation on images whose colors are their classes."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from ibot_mm.evaluation import (
    Features,
    FrozenTeacher,
    KNNSegmentation,
    knn_segmentation,
)
from ibot_mm.evaluation.knn_segmentation import patch_labels
from tests.helpers.features import AsIs

COLORS = np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250]], np.uint8)
# Of 16 x 16 pixels: 2 x 2 patches of 8.
TRAIN = np.array([[0, 1], [2, 1]])
# Votes are interpolated: where patches of two classes meet along a line, the
# classes do, too.
COLUMNS = np.array([[0, 1], [0, 1]])


class Corners(nn.Module):
    """The token of a patch is its mean color."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def extract_tokens(self, images):
        tokens = nn.functional.avg_pool2d(images, 8).flatten(2)
        return None, tokens.transpose(1, 2)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.teacher = nn.ModuleDict(dict(backbone=Corners()))


TEACHER = FrozenTeacher(Network(), AsIs(), Features(None, None), None, 2, 0)


def write(folder, split, name, classes, labels):
    """An image of patches of 8 pixels and its label map, of twice the size.

    Args:
        classes: Of the patches' colors.
        labels: Of the patches in the map; 0 is ignored.
    """
    for kind, suffix, content in (
            ('images', 'jpg', COLORS[np.kron(classes, np.ones((8, 8), int))]),
            ('annotations', 'png', np.kron(labels, np.ones((16, 16))))):
        path = folder / kind / split / f'{name}.{suffix}'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), content.astype(np.uint8),
                    [cv2.IMWRITE_JPEG_QUALITY, 100])
    return folder


def evaluate(folder, **settings):
    settings = dict(dict(num_classes=3, size=16, k=1), **settings)
    return KNNSegmentation(str(folder), **settings)(TEACHER)


def test_each_patch_has_the_color_of_its_class(tmp_path):
    write(tmp_path, 'training', 'a', TRAIN, TRAIN + 1)
    write(tmp_path, 'validation', 'a', COLUMNS, COLUMNS + 1)
    assert evaluate(tmp_path) == {'quality/knn_mIoU': 100}
    # All four patches of the bank vote, by exp(similarity / 0.07).
    assert evaluate(tmp_path, k=20) == {'quality/knn_mIoU': 100}


def test_other_labels_by_hand(tmp_path):
    """Predicted are 0 1 / 0 1, true are 1 1 / ignored 0.

    Class 0: none of two patches; class 1: one of three; class 2 occurs
    nowhere.
    """
    write(tmp_path, 'training', 'a', TRAIN, TRAIN + 1)
    write(tmp_path, 'validation', 'b', COLUMNS, [[2, 2], [0, 1]])
    assert evaluate(tmp_path) == {
        'quality/knn_mIoU': pytest.approx(100 * (0 + 1 / 3) / 2)}


def test_ignored_patches_do_not_vote(tmp_path):
    """Green patches have no label: their nearest are those of other colors."""
    write(tmp_path, 'training', 'a', TRAIN, [[1, 0], [3, 255]])
    write(tmp_path, 'validation', 'a', [[0, 0], [2, 2]], [[1, 1], [3, 3]])
    assert evaluate(tmp_path) == {'quality/knn_mIoU': 100}


def test_shares_of_a_patch():
    """A patch of 2 x 2 pixels: two of class 0, one of class 1, one ignored."""
    labels = torch.tensor([[0, 0, 2, 2], [1, -1, 2, 2]])
    assert patch_labels(labels.repeat_interleave(2, 0), 3, 2).tolist() == [
        [1, 0, 0], [0, 0, 1], [0, 0.5, 0], [0, 0, 1]]


def test_the_bank_has_as_many_patches_of_each_image(tmp_path):
    for name in 'abc':
        write(tmp_path, 'training', name, TRAIN, TRAIN + 1)
    write(tmp_path, 'validation', 'a', TRAIN, TRAIN + 1)
    evaluator = KNNSegmentation(str(tmp_path), 3, 16, bank_size=6)
    bank, shares = evaluator._bank(TEACHER)
    assert len(bank) == len(shares) == 6
    assert torch.equal(evaluator._bank(TEACHER)[0], bank)
    evaluator.seed = 1
    assert not torch.equal(evaluator._bank(TEACHER)[0], bank)


@pytest.mark.parametrize('split', ['training', 'validation'])
def test_unreadable_files_are_left_out(tmp_path, split, monkeypatch):
    """Named once, in two validations; one of a kind in the same batch."""
    lines = []
    monkeypatch.setattr(knn_segmentation, 'print_log',
                        lambda text, *args: lines.append(text))
    for name in ('training', 'validation'):
        write(tmp_path, name, 'good', COLUMNS, COLUMNS + 1)
    for name in 'abcd':
        write(tmp_path, split, name, TRAIN, TRAIN + 1)
    (tmp_path / 'images' / split / 'a.jpg').write_bytes(b'')
    maps = tmp_path / 'annotations' / split
    for name, data in (('b', b'no image'), ('c', (maps / 'c.png').read_bytes()
                                            [:60])):
        (maps / f'{name}.png').write_bytes(data)
    (maps / 'd.png').unlink()
    evaluator = KNNSegmentation(str(tmp_path), 3, 16, k=1)
    assert evaluator(TEACHER) == evaluator(TEACHER) == {
        'quality/knn_mIoU': 100}
    assert len(lines) == 4
    for name, line in zip(('a.jpg', 'b.png', 'c.png', 'd.png'), lines):
        assert name in line
    # Without a readable image there is no number.
    (tmp_path / 'images' / split / 'good.jpg').write_bytes(b'')
    with pytest.raises(ValueError, match=split):
        evaluator(TEACHER)


def test_errors_name_folder_and_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=f'{tmp_path}.*data_root'):
        KNNSegmentation(str(tmp_path), 3)
    for split in ('training', 'validation'):
        write(tmp_path, split, 'a', TRAIN, TRAIN + 1)
    with pytest.raises(ValueError, match=r'a\.png.*num_classes'):
        evaluate(tmp_path, num_classes=2)
    (tmp_path / 'annotations').rename(tmp_path / 'labels')
    with pytest.raises(FileNotFoundError, match='annotations.*data_root'):
        KNNSegmentation(str(tmp_path), 3)
