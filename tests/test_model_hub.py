"""MMPretrain finds and runs the models by name, config and path."""

import copy
import importlib
import subprocess
import sys

import mmpretrain
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmpretrain import (
    FeatureExtractor,
    ImageClassificationInferencer,
    get_model,
    inference_model,
    list_models,
)

import ibot_mm
from ibot_mm import model_hub
from ibot_mm.checkpoints.load import CheckpointError
from tests.helpers.builders import ARCH
from tests.helpers.launched import tiny_config

PRETRAINING = 'ibot_vit-small-p16_16xb64-multicrop-800e_in1k'
PROTOCOL = 'ibot_vit-small-p16_knn_in1k'
CLASSIFIER = 'ibot_vit-small-p16_finetune-8xb128-200e_in1k'
# To make the published networks tiny.
BACKBONE = dict(
    arch=dict(_delete_=True, **ARCH), img_size=32, patch_size=8)
_TINY = {
    PRETRAINING: dict(
        backbone=BACKBONE,
        neck=dict(in_channels=24, hidden_channels=32, bottleneck_channels=16,
                  num_prototypes=32),
        head=dict(num_prototypes=32)),
    PROTOCOL: dict(backbone=BACKBONE),
    CLASSIFIER: dict(
        backbone=dict(BACKBONE, init_cfg=None),
        head=dict(in_channels=24)),
}


def tiny(name):
    """Changes of the model; a copy, because MMEngine changes them."""
    return copy.deepcopy(_TINY[name])


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(
        0, 256, (40, 50, 3), dtype=np.uint8)


@pytest.fixture
def pretrained(tmp_path):
    """A pre-training whose teacher is not its student, and its file."""
    model = get_model(PRETRAINING, **tiny(PRETRAINING))
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.normal_(0, 0.1)
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return model, str(path)


def expected(model, image):
    """The teacher's CLS token for the image that the pipeline makes of it."""
    pipeline = Config.fromfile(ibot_mm.config_path(
        f'ibot/{PRETRAINING}.py')).test_pipeline
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        inputs = Compose(pipeline)(dict(img=image))
    with torch.no_grad():
        x = inputs['inputs'].float().flip(0)[None]  # BGR -> RGB
        mean = torch.tensor([123.675, 116.28, 103.53]).view(-1, 1, 1)
        std = torch.tensor([58.395, 57.12, 57.375]).view(-1, 1, 1)
        return model.teacher.backbone.extract_cls((x - mean) / std)[0]


@pytest.mark.cli
def test_the_import_is_light():
    run = subprocess.run([
        sys.executable, '-c',
        'import ibot_mm, sys; print("torch" in sys.modules)'
    ], check=True, capture_output=True, text=True)
    assert run.stdout == 'False\n'


def test_names_are_registered_when_mmpretrain_is_imported(monkeypatch):
    """As in ``import ibot_mm; from mmpretrain import list_models``."""
    old = sys.modules[model_hub.MODULE]
    monkeypatch.setattr(mmpretrain.apis, 'model', old)
    monkeypatch.delitem(sys.modules, model_hub.MODULE)
    monkeypatch.setattr(sys, 'meta_path', list(sys.meta_path))
    model_hub.register_models.cache_clear()
    model_hub.register_on_import()
    new = importlib.import_module(model_hub.MODULE)
    assert new is not old and new.ModelHub.has(PRETRAINING)


def test_names():
    names = list_models('*ibot*')
    assert {PRETRAINING, PROTOCOL, CLASSIFIER} <= set(names)
    assert 'mask-rcnn_vit-s-p16-ibot-pre_fpn_amp-ms-crop-1x_coco' not in names
    # MMPretrain builds classifiers of those with such results.
    classifiers = list_models('*ibot*', task='Image Classification')
    assert CLASSIFIER in classifiers
    assert PROTOCOL not in classifiers and PRETRAINING not in classifiers


def test_a_reload_changes_nothing():
    names = list_models('*ibot*')
    importlib.reload(ibot_mm)
    assert list_models('*ibot*') == names


@pytest.mark.parametrize('build', [get_model, FeatureExtractor])
def test_there_is_nothing_to_download(build):
    with pytest.raises(CheckpointError, match=PRETRAINING):
        build(PRETRAINING, pretrained=True, **tiny(PRETRAINING))


@pytest.mark.parametrize('name', [PRETRAINING, PROTOCOL])
def test_features_by_name_are_the_teachers(name, pretrained, image):
    model, path = pretrained
    extractor = FeatureExtractor(name, pretrained=path, device='cpu',
                                 **tiny(name))
    torch.testing.assert_close(extractor(image)[0], expected(model, image))


def test_features_by_config_and_path(tmp_path, image):
    config = tiny_config(tmp_path / 'tiny.py', tmp_path)
    model = get_model(str(config))
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.normal_(0, 0.1)
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    features = [
        FeatureExtractor(source, pretrained=str(path), device='cpu')(image)[0]
        for source in (model, Config.fromfile(config), str(config))]
    assert features[0].shape == (24, )
    for other in features[1:]:
        torch.testing.assert_close(other, features[0])


def test_a_config_without_validation_has_a_pipeline_too(image):
    config = Config.fromfile(ibot_mm.config_path(
        'examples/ibot_vit-small-p16_1xb64-multicrop-100e_own-images.py'))
    config.merge_from_dict(dict(model=tiny(PRETRAINING)))
    extractor = FeatureExtractor(config, pretrained=False, device='cpu')
    assert extractor(image)[0].shape == (24, )


def test_classes_of_a_fine_tuned_network(tmp_path, image):
    """By name, and with the inferencer by config."""
    model = get_model(CLASSIFIER, **tiny(CLASSIFIER))
    torch.nn.init.normal_(model.head.fc.weight)
    path = str(tmp_path / 'fine-tuned.pth')
    classes = [f'class {i}' for i in range(1000)]
    torch.save(dict(state_dict=model.state_dict(),
                    meta=dict(dataset_meta=dict(classes=classes))), path)
    found = inference_model(get_model(CLASSIFIER, pretrained=path,
                                      **tiny(CLASSIFIER)), image)
    assert found['pred_class'] == f'class {found["pred_label"]}'
    config = Config.fromfile(ibot_mm.config_path(
        f'benchmarks/classification/finetune/{CLASSIFIER}.py'))
    config.merge_from_dict(dict(model=tiny(CLASSIFIER)))
    again = ImageClassificationInferencer(
        config, pretrained=path, device='cpu')(image)[0]
    np.testing.assert_allclose(again['pred_scores'], found['pred_scores'],
                               rtol=1e-5)


def test_a_protocol_is_no_classifier():
    with pytest.raises(NotImplementedError, match='[Nn]o available'):
        inference_model(PROTOCOL, 'image.jpg', pretrained=False)
