"""Configs of the robustness tests against the published protocols."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ibot_mm.registry import METRICS, MODELS, TRANSFORMS

ROOT = Path(__file__).parents[2] / 'configs' / 'benchmarks' / 'robustness'
# Published results of iBOT, in the headers.
RESULTS = {
    'imagenet-9': '90.9 89.7 81.7 80.3 53.5 22.7 17.4 96.8',
    'imagenet-a': '13.8',
    'imagenet-c': '48.1',
    'imagenet-r': 'no result',
    'imagenet-v2': 'no result',
    'occlusion-shuffle_in1k': '65.9 and 43.4',
    'part-linear-8xb128-100e_in1k': '17.9',
}


def load(name):
    return Config.fromfile(ROOT / f'ibot_vit-small-p16_{name}.py')


def steps(cfg):
    return {step.type: step for step in cfg.test_dataloader.dataset.pipeline}


@pytest.mark.parametrize('name', RESULTS)
def test_what_all_have(name):
    path = ROOT / f'ibot_vit-small-p16_{name}.py'
    header = path.read_text().split('_base_ =')[0]
    tool = 'bash tools/dist_train.sh' if 'xb' in name else (
        'python tools/test.py')
    assert header.startswith(f'# {tool} {path.relative_to(ROOT.parents[2])} ')
    assert RESULTS[name] in header and 'Published' in header
    cfg = load(name)
    init_default_scope('mmpretrain')
    model = MODELS.build(dict(cfg.model, backbone=dict(
        cfg.model.backbone, init_cfg=None)))
    if 'xb' not in name:
        # CLS tokens of four blocks.
        assert model.head.fc.weight.shape == (1000, 4 * 384)
        assert not cfg.test_dataloader.sampler.round_up
    for step in steps(cfg).values():
        TRANSFORMS.build(step)
    if cfg.test_evaluator:
        METRICS.build(cfg.test_evaluator)


def test_every_config_is_in_the_table():
    assert {path.stem for path in ROOT.glob('*.py')} == {
        f'ibot_vit-small-p16_{name}' for name in RESULTS}


def test_preprocessing():
    """Resized unless the images have 224 pixels already."""
    for name in ('imagenet-a', 'imagenet-r', 'imagenet-v2',
                 'occlusion-shuffle_in1k'):
        pipeline = steps(load(name))
        assert pipeline['ResizeEdge'].scale == 256
        assert pipeline['ResizeEdge'].interpolation == 'bilinear'
        assert pipeline['CenterCrop'].crop_size == 224
    assert set(steps(load('imagenet-9'))) == {'ibot_mm.LoadImage',
                                              'PackInputs'}
    assert 'ResizeEdge' not in steps(load('imagenet-c'))


def test_variants():
    folders = load('imagenet-9').test_dataloader.dataset.variants
    assert list(folders) == ['only_fg', 'mixed_same', 'mixed_rand',
                             'mixed_next', 'no_fg', 'only_bg_b', 'only_bg_t',
                             'original']
    assert folders.no_fg == 'no_fg/val'
    names = load('imagenet-c').test_dataloader.dataset.variants
    assert len(names) == 19 * 5 and names[9] == 'shot_noise/5'


def test_grids_of_the_paper():
    loop = load('occlusion-shuffle_in1k').test_cfg
    assert loop.ratios == [i / 10 for i in range(10)]
    assert loop.masses == [i / 10 for i in range(1, 11)]
    assert [h * w for h, w in loop.grids] == [1, 4, 8, 16, 32, 64, 196, 256]
    assert loop.drop_grid == (14, 14)


def test_parts():
    cfg = load('part-linear-8xb128-100e_in1k')
    assert (cfg.model.pooling, cfg.model.num_parts) == ('parts', 56)
    assert 8 * cfg.train_dataloader.batch_size == 1024
    assert cfg.train_cfg.max_epochs == 100
    assert cfg.optim_wrapper.optimizer.weight_decay == 0
