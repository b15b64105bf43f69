"""Features in three lines of Python."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from PIL import Image
from torchvision.transforms.functional import (
    InterpolationMode,
    center_crop,
    normalize,
    pil_to_tensor,
    resize,
)

from ibot_mm import Embedder
from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.datasets.transforms import ImageDecodeError
from tests.helpers.builders import build_model, model_config

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def save(path, network, **settings):
    """A checkpoint with a config, as MMEngine writes it."""
    meta = dict(cfg=Config(settings).pretty_text) if settings else {}
    torch.save(dict(state_dict=network.state_dict(), meta=meta), path)
    return path


@pytest.fixture(scope='module')
def model():
    """A model whose student and teacher differ."""
    model = build_model().eval()
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.mul_(1.1)
    return model


@pytest.fixture(scope='module')
def checkpoint(model, tmp_path_factory):
    """Its file, with the config of the run."""
    return save(tmp_path_factory.mktemp('embedder') / 'epoch_1.pth', model,
                model=model_config())


@pytest.fixture
def log(tmp_path):
    """The log file of a run."""
    path = tmp_path / 'run.log'
    logger = MMLogger.get_instance(f'embedder {tmp_path}', log_file=str(path))
    yield path
    for handler in logger.handlers:
        handler.close()
    MMLogger._instance_dict.pop(logger.instance_name)


@pytest.fixture(scope='module')
def images(shapes):
    return sorted(shapes.glob('val/*/*'))[:3]


def prepared(paths, short=64, side=48, mean=MEAN, std=STD):
    """Torchvision's resize and crop."""
    return torch.stack([
        normalize(pil_to_tensor(center_crop(resize(
            Image.open(path).convert('RGB'), short,
            InterpolationMode.BICUBIC), side)).float(), mean, std)
        for path in paths])


def same(found, expected):
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_features_of_the_teacher(model, checkpoint, images):
    embedder = Embedder(checkpoint, resize=64, crop=48, batch_size=2)
    found = embedder(images)
    with torch.no_grad():
        cls, patches = model.teacher.backbone.extract_tokens(prepared(images))
    same(found.cls, cls)
    same(found.patch_mean, patches.mean(1))
    # 48 / 8 patches in a row.
    same(found.patches, patches.view(3, 6, 6, -1))
    student = Embedder(checkpoint, 'student', resize=64, crop=48)
    with torch.no_grad():
        expected = model.backbone.extract_cls(prepared(images[:1]))
    same(student(images[0]).cls, expected)
    same(student([cv2.imread(str(images[0]))]).cls, expected)


def test_without_a_run_as_in_the_protocol(model, tmp_path, images, log):
    """256 and 224 pixels, ImageNet's normalization; heads must be given."""
    source = save(tmp_path / 'bare.pth', model.teacher.backbone)
    with pytest.raises(CheckpointError, match='num_heads'):
        Embedder(source)
    found = Embedder(source, num_heads=3)(images[:1])
    assert "ImageNet's" in log.read_text()
    with torch.no_grad():
        expected = model.teacher.backbone.extract_cls(
            prepared(images[:1], 256, 224))
    same(found.cls, expected)


def test_preparation_of_the_run(model, tmp_path, images):
    """Its validation squeezes images to 32 x 48, its normalization differs."""
    mean, std = [100., 120., 140.], [50., 60., 70.]
    source = save(
        tmp_path / 'epoch_1.pth', model,
        model=model_config(data_preprocessor=dict(
            mean=mean, std=std, to_rgb=True)),
        val_dataloader=dict(dataset=dict(pipeline=[
            dict(type='ibot_mm.LoadImage'),
            dict(type='Resize', scale=(48, 32), backend='pillow',
                 interpolation='bicubic'),
            dict(type='PackInputs')])))
    found = Embedder(source)(images[:1])
    assert found.patches.shape == (1, 4, 6, 24)
    image = resize(Image.open(images[0]), [32, 48], InterpolationMode.BICUBIC)
    image = normalize(pil_to_tensor(image).float(), mean, std)
    with torch.no_grad():
        same(found.cls, model.teacher.backbone.extract_cls(image[None]))


@pytest.mark.parametrize('name', ['os.system', 'os.path.Resize'])
def test_a_config_cannot_name_other_transforms(model, tmp_path, images, name):
    source = save(
        tmp_path / 'epoch_1.pth', model, model=model_config(),
        val_dataloader=dict(dataset=dict(pipeline=[
            dict(type=name, command=f'touch {tmp_path}/mark')])))
    Embedder(source)(images[:1])
    assert not (tmp_path / 'mark').exists()


def test_tokens_of_an_inner_layer(model, checkpoint, images):
    embedder = Embedder(checkpoint, resize=64, crop=48)
    backbone, outputs = model.teacher.backbone, []
    hook = backbone.layers[0].register_forward_hook(
        lambda module, inputs, output: outputs.append(output))
    with torch.no_grad():
        backbone.extract_tokens(prepared(images))
        expected = backbone.ln1(outputs[0])
    hook.remove()
    for layer in (0, -2):
        found = embedder(images, layer=layer)
        same(found.cls, expected[:, 0])
        same(found.patch_mean, expected[:, 1:].mean(1))
    with pytest.raises(ValueError, match='layer 2'):
        embedder(images, layer=2)


def test_other_channels(tmp_path):
    """The weights show how many; mean and std must come from somewhere."""
    model = build_model(backbone=dict(in_channels=4))
    source = save(tmp_path / 'bare.pth', model.teacher.backbone)
    with pytest.raises(CheckpointError, match='4 input channels.*mean'):
        Embedder(source, num_heads=3)
    image = np.random.default_rng(0).integers(
        0, 255, (32, 32, 4), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / 'rgba.png')
    mean, std = [10., 20., 30., 40.], [50., 60., 70., 80.]
    embedder = Embedder(source, num_heads=3, mean=mean, std=std, resize=32,
                        crop=32)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        expected = model.teacher.backbone.eval().extract_cls(
            normalize(pixels, mean, std))
    same(embedder(tmp_path / 'rgba.png').cls, expected)


def test_what_is_no_image(checkpoint, tmp_path):
    embedder = Embedder(checkpoint)
    (tmp_path / 'a.jpg').write_text('no image')
    with pytest.raises(ImageDecodeError, match='a.jpg'):
        embedder([tmp_path / 'a.jpg'])
    with pytest.raises(ValueError, match='no images'):
        embedder([])
