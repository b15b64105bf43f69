"""Feature extraction, its errors, and the cache."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from ibot_mm.engine import FeatureTestLoop
from ibot_mm.evaluation import FeatureCache, Features, extract_features
from ibot_mm.models import FeatureExtractor
from tests.helpers.builders import ARCH
from tests.helpers.features import AsIs, Numbers, collate


def extract(dataset, sampler=None):
    loader = DataLoader(dataset, batch_size=3, sampler=sampler,
                        collate_fn=collate)
    return extract_features(lambda x: x.flatten(1)[:, :2] * 2, AsIs(), loader)


def test_features_come_in_the_order_of_the_data_set():
    features = extract(Numbers(), sampler=[6, 0, 3, 1, 5, 2, 4, 6, 0])
    assert features.vectors.tolist() == [[2. * i] * 2 for i in range(7)]
    assert features.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_an_image_with_non_finite_features_is_named():
    with pytest.raises(ValueError, match='"folder/4.png"'):
        extract(Numbers(values=[0., 1., 2., 3., float('nan'), 5.]))


def test_labels_are_needed():
    with pytest.raises(ValueError, match='val_dataloader'):
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
    relabeled = Numbers()
    relabeled.get_data_info = lambda i: dict(
        img_path=f'folder/{i}.png', gt_label=0)
    names.add(cache.path(model, 'x', relabeled))
    assert len(names) == 5


def frozen(**changes):
    backbone = dict(type='ibot_mm.IBOTViT', arch=dict(ARCH), img_size=32,
                    patch_size=8)
    backbone.update(changes.pop('backbone', {}))
    return FeatureExtractor(backbone, **changes)


def test_features_with_a_neck_are_its_logits_of_the_cls_token():
    model = frozen(neck=dict(
        type='ibot_mm.IBOTNeck', in_channels=24, hidden_channels=32,
        bottleneck_channels=16, num_prototypes=10, num_patch_prototypes=7,
        shared_head=False, norm_last_layer=False)).eval()
    x = torch.randn(2, 3, 32, 32)
    z = F.normalize(model.neck.mlp(model.backbone.extract_cls(x)), dim=-1)
    directions = F.normalize(model.neck.last_layer.weight_v, dim=1)
    torch.testing.assert_close(
        model.extract_feat(x),
        z @ directions.T * model.neck.last_layer.weight_g.T)


def test_settings_tell_models_of_equal_weights_apart():
    """All settings that change features but not weights."""
    heads = frozen(backbone=dict(arch=dict(ARCH, num_heads=2)))
    assert heads.state_dict().keys() == frozen().state_dict().keys()
    models = [
        frozen(), heads, frozen(backbone=dict(interpolate_offset=0.)),
        frozen(n_last_blocks=2), frozen(pooling='avg'),
        frozen(data_preprocessor=dict(
            type='mmpretrain.ClsDataPreprocessor', mean=[1.] * 3,
            std=[2.] * 3)),
        frozen(data_preprocessor=dict(
            type='mmpretrain.ClsDataPreprocessor', to_rgb=True))
    ]
    assert len({model.feature_settings for model in models}) == len(models)
    assert frozen().feature_settings == frozen(
        backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='x'))
    ).feature_settings


def test_transforms_of_wrapped_data_sets_count():
    inner = dict(type='LabeledDataset', pipeline=[dict(type='A')])
    other = dict(type='LabeledDataset', pipeline=[dict(type='B')])
    first, second = (FeatureTestLoop._recipe(dict(dataset=dict(
        type='ConcatDataset', datasets=[dataset])))
        for dataset in (inner, other))
    assert first != second
    # A data set object has no config of its transforms.
    assert FeatureTestLoop._recipe(dict(dataset=Numbers())) is None
