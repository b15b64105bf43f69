"""Configs of retrieval, copy detection and video against the protocols."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ibot_mm.registry import EVALUATORS, MODELS, TRANSFORMS

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / 'configs' / 'benchmarks'
FILES = sorted([*BENCHMARKS.glob('retrieval/*.py'),
                *BENCHMARKS.glob('video/*.py')])
# Published mAP, medium and hard, or J&F, J and F; DINO's where iBOT has none.
PUBLISHED = dict(roxford5k='36.6 / 13.0', rparis6k='61.5 / 34.1',
                 copydays='81.7', davis2017='61.8 / 60.4 / 63.2')


def load(name):
    path, = [p for p in FILES if p.stem == f'ibot_vit-small-p16_{name}']
    return Config.fromfile(path)


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_headers(path):
    lines = path.read_text().split('_base_')[0]
    assert lines.startswith(
        f'# python tools/test.py {path.relative_to(ROOT)} CHECKPOINT\n')
    assert PUBLISHED[path.stem.split('_')[-1]] in lines


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_models_and_transforms_are_there(path):
    cfg = Config.fromfile(path)
    init_default_scope('mmpretrain')
    assert cfg.model.backbone.arch == 'small'
    assert MODELS.get(cfg.model.type) and EVALUATORS.get(
        cfg.test_cfg.protocol.type)
    for step in cfg.test_dataloader.dataset.pipeline:
        TRANSFORMS.build(step)


@pytest.mark.parametrize('name', ['roxford5k', 'rparis6k'])
def test_retrieval(name):
    cfg = load(name)
    assert cfg.model.scales == pytest.approx([1, 0.70710678, 0.5])
    for loader, split in ((cfg.test_dataloader, 'queries'),
                          (cfg.test_cfg.bank_dataloader, 'database')):
        dataset = loader.dataset
        assert (dataset.split, loader.batch_size) == (split, 1)
        assert (dataset.data_root, dataset.ann_file) == (
            f'data/{name}', f'gnd_{name}.pkl')
        assert dataset.pipeline[1].max_side == 512
    assert cfg.test_cfg.protocol.ann_file == f'data/{name}/gnd_{name}.pkl'


def test_copy_detection():
    cfg = load('copydays')
    assert cfg.model.gem_power == 4
    resize = cfg.test_dataloader.dataset.pipeline[1]
    assert (resize.scale, resize.interpolation) == ((224, 224), 'bicubic')
    assert cfg.test_dataloader.dataset.split == 'queries'
    assert cfg.test_cfg.bank_dataloader.dataset.split == 'database'
    roots = {cfg.test_dataloader.dataset.data_root,
             cfg.test_cfg.bank_dataloader.dataset.data_root,
             cfg.test_cfg.protocol.data_root}
    assert roots == {'data/copydays'}


def test_video():
    cfg = load('davis2017')
    assert cfg.model.data_preprocessor.std == pytest.approx(
        [255 * value for value in (0.228, 0.224, 0.225)])
    resize = cfg.test_dataloader.dataset.pipeline[1]
    assert (resize.short_side, resize.divisor) == (480, 64)
    protocol = dict(cfg.test_cfg.protocol)
    assert protocol == dict(
        type='ibot_mm.LabelPropagation', radius=12, num_frames=7, topk=5,
        temperature=0.1)
