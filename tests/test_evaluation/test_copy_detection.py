"""Copy detection: names, whitening and scores by hand."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ibot_mm.datasets import Copydays
from ibot_mm.datasets.copydays import copydays_blocks
from ibot_mm.evaluation import CopyDetection, Features
from ibot_mm.evaluation.retrieval import fit_whitening
from tests.helpers import golden

NAMES = ['original/200000.jpg', 'original/200100.jpg', 'strong/200101.jpg',
         'strong/200003.jpg', 'strong/200102.jpg', 'jpegqual/75/200000.jpg',
         'jpegqual/75/200100.jpg', 'jpegqual/8/200000.jpg',
         'crops/10/200100.jpg']


def write(folder, names=NAMES):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    return str(folder)


def listed(dataset):
    root = dataset.data_root
    return [(info['img_path'].removeprefix(f'{root}/'), info['gt_label'])
            for info in map(dataset.get_data_info, range(len(dataset)))]


def test_queries_belong_to_the_original_of_the_same_four_characters(tmp_path):
    """Blocks in order, qualities as numbers."""
    assert listed(Copydays(write(tmp_path))) == [
        ('original/200000.jpg', 0), ('original/200100.jpg', 1),
        ('strong/200003.jpg', 0), ('strong/200101.jpg', 1),
        ('strong/200102.jpg', 1), ('jpegqual/8/200000.jpg', 0),
        ('jpegqual/75/200000.jpg', 0), ('jpegqual/75/200100.jpg', 1),
        ('crops/10/200100.jpg', 1)]


def test_the_database_with_other_images(tmp_path):
    root = write(tmp_path / 'set')
    others = {name: write(tmp_path / name, [f'x/{name}.jpg'])
              for name in ('distractors', 'whitening')}
    assert [label for _, label in listed(Copydays(root, 'database'))] == [0, 1]
    database = listed(Copydays(root, 'database', **others))
    assert database[2:] == [(f'{others["distractors"]}/x/distractors.jpg', -1),
                            (f'{others["whitening"]}/x/whitening.jpg', -2)]


def test_whitening_against_numpy():
    """The uncentered second moment; small eigenvalues are raised."""
    rng = np.random.default_rng(0)
    x = rng.normal([1, 1, 0], [3, 1, 1e-4], (50, 3)) @ np.linalg.qr(
        rng.normal(size=(3, 3)))[0]
    _, singular, directions = np.linalg.svd(x / 50**0.5)
    values = np.maximum(singular**2, 1e-5 * singular[0]**2)
    assert values[2] > singular[2]**2
    expected = (x - x.mean(0)) @ directions.T / values**0.5
    mean, matrix = fit_whitening(torch.tensor(x))
    found = (torch.tensor(x) - mean) @ matrix
    # Eigenvectors have no sign and come in the opposite order.
    np.testing.assert_allclose(abs(found.numpy()[:, ::-1]), abs(expected),
                               rtol=1e-6)


def test_whitening_equals_that_of_dino():
    mean, matrix = fit_whitening(golden.tensor('retrieval', 'learned'))
    found = F.normalize(
        (golden.tensor('retrieval', 'queries') - mean) @ matrix)
    np.testing.assert_allclose(
        found @ found.T, golden.load('retrieval')['whitened_similarity'],
        atol=1e-4)


def features(rows, labels):
    return Features(torch.tensor(rows), torch.tensor(labels))


def test_scores_of_the_blocks_by_hand(tmp_path):
    root = write(tmp_path, NAMES[:5])
    # Both strong copies of the second original are nearer to the first and to
    # a distractor.
    bank = features([[1., 0.], [0., 1.], [1., 1.]], [0, 1, -1])
    queries = features(
        [[1., 0.], [0., 1.], [2., 1.], [2., 1.1], [2., 1.1]], [0, 1, 0, 1, 1])
    metrics = CopyDetection(root)(queries, bank, torch.device('cpu'))
    # 2:1 is 18 degrees from the distractor and 27 from the first original:
    # rank 1 of it, rank 2 of the second.
    expected = (1 / 2 / 2 + 2 * (1 / 3 / 2)) / 3
    assert metrics == {
        'copydays/original_mAP': pytest.approx(100),
        'copydays/strong_mAP': pytest.approx(100 * expected)}
    # What is not among the first two is not found.
    metrics = CopyDetection(root, top=2)(queries, bank, torch.device('cpu'))
    assert metrics['copydays/strong_mAP'] == pytest.approx(100 / 4 / 3)


def test_queries_of_another_folder_are_named(tmp_path):
    root = write(tmp_path, NAMES[:5])
    with pytest.raises(ValueError, match='5 queries.*has 2'):
        CopyDetection(root)(features([[1.], [1.]], [0, 1]),
                            features([[1.]], [0]), torch.device('cpu'))


def test_a_block_without_images_has_no_score(tmp_path):
    root = write(tmp_path, NAMES[:5])
    (tmp_path / 'crops/10').mkdir(parents=True)
    assert list(copydays_blocks(root)) == ['original', 'strong']


def test_whitening_weakens_what_varies_most(tmp_path):
    root = write(tmp_path, NAMES[:3])
    rows, labels = [[3., 0.1, 0.], [-3., 0., 0.1]], [0, 1]
    # By cosine, the copy of the second is nearer to the first original.
    queries = features([*rows, [3., 0., 0.1]], [0, 1, 1])
    plain = CopyDetection(root)(queries, features(rows, labels),
                                torch.device('cpu'))
    assert plain['copydays/strong_mAP'] == pytest.approx(25)
    # The whitening divides the first number by 30, the others by 0.1.
    learned = [[30., 0.1, 0.1], [-30., -0.1, 0.1], [30., -0.1, -0.1],
               [-30., 0.1, -0.1]]
    whitened = CopyDetection(root)(
        queries, features(rows + learned, labels + [-2] * 4),
        torch.device('cpu'))
    assert whitened['copydays/strong_mAP'] == pytest.approx(100)


@pytest.mark.parametrize('names, changes, error, match', [
    (NAMES[2:], {}, FileNotFoundError, 'original'),
    (NAMES[:2], {}, FileNotFoundError, 'strong'),
    (NAMES, dict(distractors='nowhere'), FileNotFoundError, 'nowhere'),
    (NAMES, dict(split='train'), ValueError, 'split'),
    ([*NAMES, 'strong/999901.jpg'], {}, ValueError, '999901.jpg'),
    ([*NAMES, 'original/200007.jpg'], {}, ValueError, '200007.jpg'),
    ([*NAMES, 'crops/half/200000.jpg'], {}, ValueError, 'half'),
])
def test_bad_layouts_are_named(tmp_path, names, changes, error, match):
    with pytest.raises(error, match=match):
        Copydays(write(tmp_path, names), **{
            'split': 'database' if 'distractors' in changes else 'queries',
            **changes})
