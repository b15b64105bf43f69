"""Extraction, its complaints, and the cache."""

import pytest
import torch
from mmpretrain.structures import DataSample
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ibot_mm.evaluation import FeatureCache, Features, extract_features


class Numbers(Dataset):
    """Image i is filled with i, its label is i % 3."""

    def __init__(self, count=7, values=None, labels=True):
        self.values = values or [float(i) for i in range(count)]
        self.labels = labels

    def __len__(self):
        return len(self.values)

    def get_data_info(self, i):
        return dict(img_path=f'folder/{i}.png', gt_label=i % 3)

    def __getitem__(self, i):
        sample = DataSample(metainfo=dict(
            sample_idx=i, img_path=f'folder/{i}.png'))
        if self.labels:
            sample.set_gt_label(i % 3)
        return torch.full((1, 2, 2), self.values[i]), sample


def collate(batch):
    images, samples = zip(*batch)
    return dict(inputs=torch.stack(images), data_samples=list(samples))


class AsIs(nn.Module):

    def forward(self, data, training):
        return data


def extract(dataset, sampler=None):
    loader = DataLoader(dataset, batch_size=3, sampler=sampler,
                        collate_fn=collate)
    return extract_features(lambda x: x.flatten(1)[:, :2] * 2, AsIs(), loader)


def test_features_come_in_the_order_of_the_data_set():
    features = extract(Numbers(), sampler=[6, 0, 3, 1, 5, 2, 4, 6, 0])
    assert features.vectors.tolist() == [[2. * i] * 2 for i in range(7)]
    assert features.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_an_image_whose_features_are_not_finite_is_named():
    with pytest.raises(ValueError, match='"folder/4.png" hold NaN'):
        extract(Numbers(values=[0., 1., 2., 3., float('nan'), 5.]))


def test_labels_are_needed():
    with pytest.raises(ValueError, match='need labels'):
        extract(Numbers(labels=False))


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(str(tmp_path / 'cache'))


def test_cache_gives_back_what_it_got(cache):
    path = cache.path(nn.Linear(2, 2), 'x', Numbers())
    assert cache.load(path) is None
    features = Features(torch.randn(4, 2), torch.arange(4))
    cache.save(path, features)
    loaded = cache.load(path)
    assert torch.equal(loaded.vectors, features.vectors)
    assert torch.equal(loaded.labels, features.labels)
    assert [p.name for p in cache.folder.iterdir()] == [path.name]


def test_cache_names_depend_on_everything(cache):
    torch.manual_seed(0)
    model = nn.Linear(2, 2)
    first = cache.path(model, 'x', Numbers())
    assert cache.path(model, 'x', Numbers()) == first
    names = {first, cache.path(model, 'y', Numbers()),
             cache.path(model, 'x', Numbers(8))}
    with torch.no_grad():
        model.weight[0, 0] += 1e-6
    names.add(cache.path(model, 'x', Numbers()))
    relabelled = Numbers()
    relabelled.get_data_info = lambda i: dict(
        img_path=f'folder/{i}.png', gt_label=0)
    names.add(cache.path(model, 'x', relabelled))
    assert len(names) == 5
