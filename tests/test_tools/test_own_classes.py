"""Fine-tuning on one's own classes, and labels of new photographs."""

import cv2
import numpy as np
import pytest
import torch
from mmpretrain import FeatureExtractor, ImageClassificationInferencer
from mmpretrain.registry import TRANSFORMS

from ibot_mm.models import IBOT
from tests.helpers.builders import ARCH, model_config
from tests.helpers.in_process import run_tool

CONFIG = """
_base_ = __import__('ibot_mm').config_path(
    'examples/ibot_vit-small-p16_finetune-1xb32-100e_own-classes.py')
model = dict(
    data_preprocessor=dict(num_classes={count}),
    backbone=dict(arch=dict(_delete_=True, **{arch}), img_size=32,
                  patch_size=8),
    head=dict(num_classes={count}, in_channels=24))
random_crop = dict(_base_.random_crop, scale=32)
resize = dict(_base_.resize, scale=36)
center_crop = dict(_base_.center_crop, crop_size=32)
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(**loader, dataset=dict(
    data_root={root!r}, pipeline=[
        _base_.load_image, random_crop, _base_.flip, _base_.pack_inputs]))
val_dataloader = dict(**loader, dataset=dict(
    data_root={root!r}, pipeline=[
        _base_.load_image, resize, center_crop, _base_.pack_inputs]))
test_dataloader = val_dataloader
optim_wrapper = dict(dtype='float32')
param_scheduler = [dict(_base_.lr_schedule, warmup=1)]
train_cfg = dict(max_epochs=2, val_interval=2)
"""


@pytest.fixture(scope='module')
def config(shapes, tmp_path_factory):
    """Writes the config of a tiny network for a number of classes."""
    folder = tmp_path_factory.mktemp('own')

    def write(count):
        path = folder / f'own_{count}.py'
        path.write_text(CONFIG.format(
            count=count, arch=ARCH, root=f'{shapes}/'))
        return path

    return write


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory):
    """Checkpoint of a pre-training with the tiny network."""
    settings = model_config()
    settings.pop('type')
    torch.manual_seed(0)
    model = IBOT(**settings)
    model.init_weights()
    path = tmp_path_factory.mktemp('pretrained') / 'epoch_1.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


@pytest.fixture(scope='module')
def trained(config, pretrained, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('work')
    run_tool('train.py', config(12), '--pretrained', pretrained,
             '--work-dir', work_dir)
    return work_dir / 'epoch_2.pth'


def test_another_number_of_classes(config, pretrained, tmp_path):
    """The shapes have 12 classes; nothing is trained."""
    with pytest.raises(ValueError, match=(
            'train_dataloader.dataset has 12 .*model.head.num_classes is 7')):
        run_tool('train.py', config(7), '--pretrained', pretrained,
                 '--work-dir', tmp_path)
    assert not list(tmp_path.glob('*.pth'))


def test_the_label_of_a_photograph(config, trained, shapes):
    """Paths and arrays give the probabilities of the model, worked out."""
    inferencer = ImageClassificationInferencer(
        str(config(12)), pretrained=str(trained))
    paths = sorted(map(str, (shapes / 'val').rglob('*.jpg')))[:3]
    # Arrays are BGR, as OpenCV reads them.
    by_path, by_array = (inferencer(images, batch_size=2) for images in (
        paths, list(map(cv2.imread, paths))))
    model = inferencer.model
    for path, *results in zip(paths, by_path, by_array):
        data = dict(img_path=path, gt_label=0)
        for step in inferencer.config.test_dataloader.dataset.pipeline:
            data = TRANSFORMS.build(step)(data)
        image = data['inputs'][None].flip(1).float()
        image = (image - torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
                 ) / torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
        with torch.no_grad():
            scores = model.head.fc(model.backbone.extract_cls(image))
        expected = scores.softmax(1)[0].numpy()
        for result in results:
            assert np.allclose(result['pred_scores'], expected, atol=1e-5)
            # Class folders of the training set, in alphabetical order.
            assert result['pred_class'] == sorted(
                folder.name for folder in (shapes / 'train').iterdir()
            )[expected.argmax()]


def test_features_of_a_photograph(config, trained, shapes):
    path = str(next((shapes / 'val').rglob('*.jpg')))
    extractor = FeatureExtractor(str(config(12)), pretrained=str(trained))
    (by_path, ), (by_array, ) = (
        extractor(image, stage='backbone')[0]
        for image in (path, cv2.imread(path)))
    assert by_path.shape == (24, ) and torch.equal(by_path, by_array)
