"""Retrieval of buildings: rankings and scores by hand."""

import os
import pickle

import cv2
import numpy as np
import pytest
import torch

from ibot_mm.datasets import RevisitedBuildings, ShrinkImage
from ibot_mm.datasets.ground_truth import read_ground_truth
from ibot_mm.evaluation import Features, RevisitedRetrieval
from ibot_mm.evaluation.retrieval import average_precision
from tests.helpers import golden

KEYS = ('gnd', 'imlist', 'qimlist')


@pytest.mark.parametrize('ranks, positives, expected', [
    ([0, 1, 2], 3, 1),
    # Precision 0 before and 1/2 at rank 1.
    ([1], 1, 0.25),
    # (1 + 1) / 2, then (1/2 + 2/3) / 2 at rank 2.
    ([0, 2], 2, (1 + 7 / 12) / 2),
    # The second positive is not found.
    ([0], 2, 0.5),
    ([], 3, 0),
])
def test_average_precision_by_hand(ranks, positives, expected):
    assert average_precision(ranks, positives) == pytest.approx(expected)


def write(folder, queries, num_images, **changes):
    path = folder / 'gnd_tiny.pkl'
    content = dict(
        gnd=queries, imlist=[f'image{i}' for i in range(num_images)],
        qimlist=[f'query{i}' for i in range(len(queries))])
    path.write_bytes(pickle.dumps({**content, **changes}, protocol=2))
    return path


def directions(*degrees):
    """Vectors of different lengths in these directions."""
    angles = torch.tensor(degrees).deg2rad()
    lengths = torch.arange(len(degrees)) + 1.
    return Features(lengths[:, None] * torch.stack(
        [angles.cos(), angles.sin()], 1), torch.arange(len(degrees)))


def test_protocol_by_hand(tmp_path):
    """One ranking, 3 0 4 1 2 5: hard, junk, easy, junk, hard, nothing."""
    query = dict(easy=[4], hard=[3, 2], junk=np.array([0, 1]), bbx=[0.5] * 4)
    path = write(tmp_path, [query], 6)
    bank = directions(20., 40., 50., 10., 30., 60.)
    metrics = RevisitedRetrieval(str(path), k=[1, 2, 10])(
        directions(0.), bank, torch.device('cpu'))
    # Without junk: 3 4 2 5, three positives at ranks 0, 1, 2. Only three
    # images count at k = 10: the last positive is the third.
    assert metrics['revisited/medium_mAP'] == pytest.approx(100)
    assert metrics['revisited/medium_mP@10'] == pytest.approx(100)
    # Without junk and easy: 3 2 5.
    assert metrics['revisited/hard_mAP'] == pytest.approx(100)
    assert metrics['revisited/hard_mP@2'] == pytest.approx(100)


def test_a_worse_ranking_by_hand(tmp_path):
    """Order 0 1 2 3 4 5: nothing, junk, easy, nothing, junk, hard."""
    path = write(tmp_path, [dict(easy=[2], hard=[5], junk=[1, 4])], 6)
    metrics = RevisitedRetrieval(str(path), k=[1, 2, 10])(
        directions(0.), directions(10., 20., 30., 40., 50., 60.),
        torch.device('cpu'))
    # Medium: 0 2 3 5, positives at ranks 1 and 3.
    medium = ((0 + 1 / 2) / 2 + (1 / 3 + 2 / 4) / 2) / 2
    assert metrics['revisited/medium_mAP'] == pytest.approx(100 * medium)
    assert metrics['revisited/medium_mP@1'] == 0
    assert metrics['revisited/medium_mP@2'] == pytest.approx(50)
    # Hard: 0 3 5, one positive at rank 2; k = 10 counts three images.
    assert metrics['revisited/hard_mAP'] == pytest.approx(100 / 6)
    assert metrics['revisited/hard_mP@10'] == pytest.approx(100 / 3)


def test_equals_the_code_of_the_authors(tmp_path):
    kind = golden.load('retrieval')['kind']
    path = write(tmp_path, [
        {name: np.flatnonzero(row == i)
         for i, name in enumerate(['easy', 'hard', 'junk'], 1)}
        for row in kind], kind.shape[1])
    queries, bank = (
        Features(golden.tensor('retrieval', key), torch.arange(count))
        for key, count in zip(('queries', 'database'), kind.shape))
    k = golden.meta('retrieval')['k']
    metrics = RevisitedRetrieval(str(path), k)(queries, bank,
                                               torch.device('cpu'))
    for setup in ('medium', 'hard'):
        found = [metrics[f'revisited/{setup}_{name}']
                 for name in ('mAP', *(f'mP@{i}' for i in k))]
        np.testing.assert_allclose(
            found, 100 * golden.load('retrieval')[setup], rtol=1e-12)


def test_a_query_without_positives_is_left_out(tmp_path):
    queries = [dict(easy=[0], hard=[], junk=[]),
               dict(easy=[], hard=[1], junk=[])]
    metrics = RevisitedRetrieval(str(write(tmp_path, queries, 2)))(
        directions(0., 90.), directions(10., 20.), torch.device('cpu'))
    assert metrics['revisited/hard_mAP'] == pytest.approx(100)
    # Both find their image: the second query's is nearer to 90 degrees.
    assert metrics['revisited/medium_mAP'] == pytest.approx(100)


def test_without_any_positive_the_setup_is_named(tmp_path):
    path = write(tmp_path, [dict(easy=[0], hard=[], junk=[])], 1)
    with pytest.raises(ValueError, match='"hard"'):
        RevisitedRetrieval(str(path))(directions(0.), directions(0.),
                                      torch.device('cpu'))


def test_ground_truth_of_another_set_is_named(tmp_path):
    path = write(tmp_path, [dict(easy=[0], hard=[0], junk=[])], 1)
    for queries, bank in (((0., 1.), (0., )), ((0., ), (0., 1.))):
        with pytest.raises(ValueError, match='gnd_tiny.pkl'):
            RevisitedRetrieval(str(path))(
                directions(*queries), directions(*bank), torch.device('cpu'))


class Evil:
    def __reduce__(self):
        return os.system, ('true', )


def test_ground_truth_runs_no_code(tmp_path):
    path = tmp_path / 'gnd.pkl'
    path.write_bytes(pickle.dumps(dict(gnd=[Evil()])))
    with pytest.raises(ValueError, match='gnd.pkl.*system'):
        read_ground_truth(str(path), ('gnd', ))


@pytest.mark.parametrize('protocol', [2, 4])
def test_ground_truth_may_hold_arrays_and_scalars(tmp_path, protocol):
    content = dict(gnd=[np.arange(3), np.float64(0.5), b'text', 'x', [1],
                        np.empty(0)])
    path = tmp_path / 'gnd.pkl'
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    array, scalar, data, *rest, empty = read_ground_truth(str(path),
                                                   ('gnd', ))['gnd']
    assert array.tolist() == [0, 1, 2] and array.dtype == np.int64
    assert empty.size == 0
    assert (scalar, data, rest) == (0.5, b'text', ['x', [1]])


def test_a_file_of_python_2(tmp_path):
    """A list with an array and a byte string, as Python 2 writes them."""
    path = tmp_path / 'gnd.pkl'
    path.write_bytes(
        b"(dp0\nS'imlist'\np1\n(lp2\nS'all_souls'\np3\nacnumpy.core.multiarray"
        b"\n_reconstruct\np4\n(cnumpy\nndarray\np5\n(I0\ntp6\nS'b'\np7\ntp8\n"
        b"Rp9\n(I1\n(I2\ntp10\ncnumpy\ndtype\np11\n(S'i2'\np12\nI0\nI1\ntp13\n"
        b"Rp14\n(I3\nS'<'\np15\nNNNI-1\nI-1\nI0\ntp16\nbI00\n"
        b"S'\\x05\\x00\\xff\\x00'\np17\ntp18\nbas.")
    names = read_ground_truth(str(path), ('imlist', ))['imlist']
    assert names[0] == 'all_souls' and names[1].tolist() == [5, 255]


def test_splits_of_the_data_set(tmp_path):
    (tmp_path / 'jpg').mkdir()
    for i, name in enumerate(['image0', 'image1', 'query0']):
        cv2.imwrite(str(tmp_path / 'jpg' / f'{name}.jpg'),
                    np.full((40, 60 + i, 3), 9, np.uint8))
    write(tmp_path, [dict(easy=[0], hard=[1], junk=[])], 2)
    pipeline = [dict(type='ibot_mm.LoadImage'),
                dict(type='ibot_mm.ShrinkImage', max_side=61)]

    def shapes(split):
        dataset = RevisitedBuildings(str(tmp_path), 'gnd_tiny.pkl', split,
                                     pipeline=pipeline)
        return [(s['gt_label'], s['img'].shape) for s in dataset]

    # 61 pixels are not enlarged, 62 are shrunk with their aspect.
    assert shapes('database') == [(0, (40, 60, 3)), (1, (40, 61, 3))]
    assert shapes('queries') == [(0, (39, 61, 3))]


@pytest.mark.parametrize('changes, error, match', [
    (dict(ann_file='gnd_other.pkl'), FileNotFoundError, 'gnd_other.pkl'),
    (dict(data_prefix='png'), FileNotFoundError, 'png'),
    (dict(split='train'), ValueError, 'split'),
    (dict(ann_file='text.pkl'), ValueError, 'text.pkl'),
    (dict(ann_file='empty.pkl'), ValueError, 'empty.pkl.*imlist'),
])
def test_bad_layouts_are_named(tmp_path, changes, error, match):
    (tmp_path / 'jpg').mkdir()
    write(tmp_path, [], 0)
    (tmp_path / 'text.pkl').write_text('<html>')
    (tmp_path / 'empty.pkl').write_bytes(pickle.dumps({}))
    with pytest.raises(error, match=match):
        RevisitedBuildings(str(tmp_path), **{
            'ann_file': 'gnd_tiny.pkl', **changes})


def test_shrinking_is_antialiased():
    """A checkerboard of single pixels becomes gray."""
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    image = ShrinkImage(16)(dict(img=np.stack([board] * 3, -1)))['img']
    assert image.shape == (16, 16, 3)
    assert abs(image.astype(float) - 127.5).max() < 3
