"""k-NN validation during a training."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import BaseLoop, Runner
from PIL import Image

from ibot_mm.datasets.transforms import ImageDecodeError
from ibot_mm.engine import BadFileHook
from ibot_mm.engine.loops import FeatureTestLoop, KNNValLoop
from ibot_mm.models import MultiCropDataPreprocessor


class Colors(torch.nn.Module):
    """Its feature of an image is the mean color."""

    def __init__(self):
        super().__init__()
        self.data_preprocessor = MultiCropDataPreprocessor()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def extract_feat(self, images):
        return images.mean((2, 3))


@pytest.fixture
def folder(tmp_path):
    """Red and blue images, of which one of ten cannot be read."""
    for name, color in (('blue', (0, 0, 250)), ('red', (250, 0, 0))):
        (tmp_path / name).mkdir()
        for i in range(5):
            noise = np.random.default_rng(i).integers(0, 5, (16, 16, 3))
            Image.fromarray((noise + np.array(color)).astype(np.uint8)).save(
                tmp_path / name / f'{i}.png')
    bad = tmp_path / 'red' / '3.png'
    bad.write_bytes(bad.read_bytes()[:90])
    return tmp_path


def loader(folder, workers):
    return dict(
        batch_size=2,
        num_workers=workers,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='ibot_mm.LabeledDataset',
            data_root=str(folder),
            pipeline=[dict(type='ibot_mm.LoadImage'),
                      dict(type='PackInputs')]))


class Training(BaseLoop):
    """The loop of a training that has begun."""

    def __init__(self):
        pass

    def run(self):
        pass


def build(cls, folder, errors, workers=0, train_loop=None, **kwargs):
    init_default_scope('mmpretrain')
    hook = BadFileHook()
    runner = SimpleNamespace(
        model=Colors(), seed=0, hooks=[hook],
        _train_loop=train_loop, _randomness_cfg={},
        build_dataloader=Runner.build_dataloader,
        call_hook=lambda *args, **kwargs: None,
        logger=SimpleNamespace(error=errors.append))
    return hook, cls(runner, loader(folder, workers), bank_dataloader=loader(
        folder, workers), **kwargs)


@pytest.mark.parametrize('workers', [0, 1])
def test_bad_files_are_left_out_and_named_once(folder, workers):
    errors = []
    hook, loop = build(KNNValLoop, folder, errors, workers, Training(),
                       k=[3], topk=[1])
    for _ in range(2):
        assert loop.run() == {'knn/k3_top1': 100., 'knn/top1': 100.}
    assert len(errors) == 1 and 'red/3.png' in errors[0]
    assert list(hook.bad_files) == [str(folder / 'red' / '3.png')]


def test_too_many_bad_files_are_an_error(folder):
    _, loop = build(KNNValLoop, folder, [], train_loop=Training(), k=[3],
                    max_bad_share=0.05)
    with pytest.raises(ValueError, match='1 of the 10 .*max_bad_share'):
        loop.run()


@pytest.mark.parametrize('cls,settings', [
    (FeatureTestLoop,
     dict(protocol=dict(type='ibot_mm.KNNClassification', k=[3]))),
    (KNNValLoop, dict(k=[3], train_loop=dict(type='PretrainLoop')))])
def test_a_test_is_strict(cls, settings, folder):
    """Also that of a pre-training config, whose training never begins."""
    _, loop = build(cls, folder, [], **settings)
    with pytest.raises(ImageDecodeError):
        loop.run()
