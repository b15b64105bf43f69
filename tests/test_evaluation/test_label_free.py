"""Quality without labels, on features whose values are known."""

import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import nn

from ibot_mm.datasets import UnlabeledDataset
from ibot_mm.evaluation import (
    Alignment,
    Features,
    FrozenTeacher,
    LiDAR,
    PartMatches,
    RankMe,
    TeacherClustering,
    Uniformity,
    ViewDataset,
)
from ibot_mm.evaluation.correspondence import View
from ibot_mm.evaluation.label_free.lidar import discriminant_spectrum
from tests.helpers.features import AsIs


def teacher(vectors=None, labels=None, **changes):
    """A teacher with given features of images."""
    if vectors is not None:
        vectors = torch.tensor(vectors, dtype=torch.float32)
        labels = torch.full((len(vectors), ), -1) if labels is None else (
            torch.tensor(labels))
    return SimpleNamespace(**dict(dict(
        features=vectors is not None and Features(vectors, labels),
        device='cpu'), **changes))


def views(vectors, **counts):
    """A teacher with given features of views, (n, q, C)."""
    return teacher(views=SimpleNamespace(
        vectors=torch.as_tensor(vectors, dtype=torch.float32), **counts))


@pytest.mark.parametrize('vectors,rank', [
    (3 * np.eye(5, 8), 5),
    (np.ones((7, 8)), 1),
    (np.zeros((7, 8)), 0),
    # Singular values 3 and 1: exp(-(3/4 log 3/4 + 1/4 log 1/4)).
    ([[3., 0., 0.], [0., 1., 0.]], 4 / 3**0.75)])
def test_rankme_by_hand(vectors, rank):
    assert RankMe()(teacher(vectors)) == {
        'quality/rankme': pytest.approx(rank, rel=1e-4)}


def test_rankme_takes_images_at_equal_distances():
    """Of five rows the first, the third and the last."""
    vectors = [[1., 0.], [0., 9.], [1., 0.], [0., 9.], [1., 0.]]
    assert RankMe(3)(teacher(vectors))['quality/rankme'] == pytest.approx(
        1, rel=1e-4)


def test_uniformity_by_hand():
    """Squared distances 2, 4 and 2; lengths do not matter."""
    vectors = [[2., 0.], [0., 3.], [-1., 0.]]
    mean = (2 * math.exp(-4) + math.exp(-8)) / 3
    assert Uniformity()(teacher(vectors)) == {
        'quality/uniformity': pytest.approx(math.log(mean))}
    assert Uniformity()(teacher(np.ones((4, 2)))) == {
        'quality/uniformity': pytest.approx(0, abs=1e-6)}


def test_alignment_by_hand():
    """Squared distances 2 of one image; 2, 4 and 2 of another."""
    assert Alignment()(views([[[5., 0.], [0., 1.]]])) == {
        'quality/alignment': pytest.approx(2)}
    found = Alignment()(views([
        [[2., 0.], [0., 3.], [-1., 0.]], [[1., 1.], [2., 2.], [3., 3.]]]))
    assert found == {'quality/alignment': pytest.approx((8 / 3 + 0) / 2)}


def test_lidar_is_the_rank_of_the_generalized_eigenvalues():
    """SciPy's solver for Sigma_b v = lambda Sigma_w v, sums written out."""
    rng = np.random.default_rng(0)
    centers = rng.normal(0, [9, 3, 1, 0.1], (30, 4))
    vectors = centers[:, None] + rng.normal(0, [1, 2, 1, 1], (30, 6, 4))
    vectors = vectors.astype(np.float32).astype(np.float64)
    means = [np.mean(group, axis=0) for group in vectors]
    between, within = np.zeros((4, 4)), 0.01 * np.eye(4)
    for mean, group in zip(means, vectors):
        deviation = mean - np.mean(means, axis=0)
        between += np.outer(deviation, deviation) / 30
        for vector in group:
            within += np.outer(vector - mean, vector - mean) / 180
    expected = linalg.eigh(between, within, eigvals_only=True)
    np.testing.assert_allclose(
        discriminant_spectrum(torch.tensor(vectors), 0.01), expected)
    shares = expected / expected.sum() + 1e-7
    assert LiDAR(0.01)(views(vectors)) == {
        'quality/lidar': pytest.approx(
            math.exp(-(shares * np.log(shares)).sum()), rel=1e-5)}


def test_lidar_of_separable_images():
    """Three directions tell images apart, the views differ in a fourth."""
    corners = np.array([[a, b, c, 0.] for a in (-1, 1) for b in (-1, 1)
                        for c in (-1, 1)])
    noise = np.array([[0, 0, 0, 1.], [0, 0, 0, -1.]])
    vectors = 5 * corners[:, None] + 100 * noise
    assert LiDAR()(views(vectors))['quality/lidar'] == pytest.approx(
        3, rel=1e-4)
    # All four are of the same rank where no views are compared: the fourth
    # has most of the variance.
    assert RankMe()(teacher(vectors.reshape(-1, 4)))['quality/rankme'] < 2


def test_lidar_does_not_see_a_complete_collapse():
    """Of 96 dimensions of noise it finds most; the others find one value."""
    rng = np.random.default_rng(0)
    vectors = 1 + 1e-6 * rng.normal(size=(300, 8, 96))
    assert LiDAR()(views(vectors))['quality/lidar'] > 75
    assert Alignment()(views(vectors))['quality/alignment'] == pytest.approx(
        0, abs=1e-9)
    assert RankMe()(teacher(vectors[:, 0]))['quality/rankme'] == pytest.approx(
        1, abs=1e-3)


def test_part_matches_are_shares_of_the_patches_in_both_views():
    assert PartMatches()(views([], correct=3., at_random=0.5, shared=8.)) == {
        'quality/part_match_acc': 37.5, 'quality/part_match_chance': 6.25}


def test_views_that_share_no_patch():
    found = PartMatches()(views([], correct=0., at_random=0., shared=0.))
    assert set(found.values()) == {0}


def test_clustering_by_hand():
    found = TeacherClustering()(teacher(
        np.ones((4, 1)), [0, 0, 1, 1],
        assignments=torch.tensor([7, 7, 2, 5])))
    # Of 6 pairs 2 share a class, 1 a cluster, 1 both: (1 - 2 * 1 / 6) /
    # ((2 + 1) / 2 - 2 * 1 / 6) and 1 / sqrt(2 * 1). Mutual information log 2,
    # entropies log 2 and 1.5 log 2.
    assert found == {'quality/ari': pytest.approx(400 / 7),
                     'quality/nmi': pytest.approx(80),
                     'quality/fmi': pytest.approx(100 / math.sqrt(2))}


def test_clustering_needs_labels():
    with pytest.raises(ValueError, match='TeacherClustering.*val_evaluator'):
        TeacherClustering()(teacher(np.ones((4, 1)), [0, 0, 1, -1]))


class Pixels(nn.Module):
    """Tokens are the mean colors of patches; the CLS token is their mean."""

    def __init__(self, patch=4):
        super().__init__()
        self.pool = nn.AvgPool2d(patch)
        self.weight = nn.Parameter(torch.ones(1))

    def extract_tokens(self, images):
        tokens = nn.functional.normalize(self.pool(images), dim=1)
        tokens = tokens.flatten(2).transpose(1, 2)
        return tokens.mean(1), tokens


class Network(nn.Module):
    """What a training has, as far as evaluators look."""

    def __init__(self, neck=None):
        super().__init__()
        self.teacher = nn.ModuleDict(dict(
            backbone=Pixels(), neck=neck or nn.Identity()))


def frozen(images, vectors=None, neck=None, batch_size=6, **settings):
    features = Features(vectors, None)
    return FrozenTeacher(Network(neck), AsIs(), features,
                         ViewDataset(images, **settings), batch_size, 0)


def unlabeled(folder):
    return UnlabeledDataset(str(folder), serialize_data=False, pipeline=[
        dict(type='ibot_mm.LoadImage')])


@pytest.fixture(scope='module')
def images(shapes):
    return unlabeled(shapes / 'val')


SETTINGS = dict(num_images=5, num_views=2, size=24)


def test_identical_views_match_themselves(images, monkeypatch):
    angles = np.linspace(0, np.pi / 2, 36).reshape(6, 6)
    colors = np.stack([np.cos(angles), np.sin(angles), 0 * angles], -1)
    whole = View(np.kron(colors, np.ones((4, 4, 1))), (0, 0, 1, 1), False)
    monkeypatch.setattr('ibot_mm.evaluation.views.random_view',
                        lambda *args: whole)
    found = frozen(images, **SETTINGS)
    assert Alignment()(found)['quality/alignment'] == pytest.approx(0)
    assert PartMatches()(found) == {
        'quality/part_match_acc': 100,
        'quality/part_match_chance': pytest.approx(100 / 36)}


def test_views_depend_on_seed_and_image_only(images):
    """Not on the batch size, nor on how many images there are."""
    first = frozen(images, **SETTINGS).views
    assert first.vectors.shape == (5, 2, 3)
    again = frozen(images, batch_size=2, **SETTINGS).views
    torch.testing.assert_close(again.vectors, first.vectors)
    assert again[1:] == pytest.approx(first[1:])
    # 0, 6, 12, 17, 23 of 24, and 0, 12, 23.
    fewer = frozen(images, **dict(SETTINGS, num_images=3)).views
    torch.testing.assert_close(fewer.vectors, first.vectors[[0, 2, 4]])
    other = frozen(images, **SETTINGS, seed=1).views
    assert (other.vectors != first.vectors).any()


def test_assignments_are_the_likeliest_prototypes(images):
    class Neck(nn.Module):
        def forward(self, cls):
            return cls @ torch.tensor([[0., 1., 0.], [2., 0., 0.]]), None

    vectors = torch.tensor([[1., 0.], [0., 1.]]).repeat(700, 1)
    found = frozen(images, vectors, Neck(), **SETTINGS).assignments
    assert found.tolist() == [1, 0] * 700


def test_unreadable_images_have_no_views(shapes, tmp_path):
    folder = tmp_path / 'val'
    shutil.copytree(shapes / 'val', folder)
    images = unlabeled(folder)
    broken = Path(images.get_data_info(12)['img_path'])
    broken.write_bytes(broken.read_bytes()[:200])
    assert frozen(images, **SETTINGS).views.vectors.shape == (4, 2, 3)


def test_settings_of_views(images):
    with pytest.raises(ValueError, match='num_views'):
        ViewDataset(images, num_views=1)
