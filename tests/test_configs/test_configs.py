"""Every config: parsed, built, one shrunken step, and its hyper-parameters.

``PUBLISHED`` is the table of the paper and of the official release, written
out. A row is what differs from the recipe of ViT-S/16.
"""

import gc
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import DATASETS, HOOKS, MODELS, TRANSFORMS

from ibot_mm.datasets import multi_crop_collate
from ibot_mm.engine import PretrainOptimWrapperConstructor
from tests.helpers.builders import ARCH

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs'
RECIPES = sorted((CONFIGS / 'ibot').glob('*.py'))

BLOCK = ([(0, 0), (0.3, 0.2)], 'BlockMaskGenerator')
RANDOM = ([(0, 0), (0.65, 0.05)], 'RandomMaskGenerator')
VIT_S = dict(
    arch='small', width=384, gpus=16, batch=64, epochs=800, prototypes=8192,
    fixed_gain=False, global_scale=(0.25, 1.0), local_scale=(0.05, 0.25),
    num_local=10, local_size=96, masks=BLOCK, mask_patch=16, patch_start=0,
    momentum=0.996, data='data/imagenet/', sharded=False)
VIT_B = dict(
    VIT_S, arch='base', width=768, epochs=400, fixed_gain=True,
    global_scale=(0.32, 1.0), local_scale=(0.05, 0.32))
VIT_L = dict(VIT_B, arch='large', width=1024, epochs=250)
VIT_H = dict(
    VIT_L, arch='huge', width=1280, mask_patch=14, local_size=98, sharded=True)
SINGLE_CROP = dict(
    VIT_S, global_scale=(0.14, 1.0), num_local=0,
    masks=([(0.3, 0.2)], 'BlockMaskGenerator'))
SWIN = dict(
    VIT_S, arch='tiny', width=768, epochs=300, mask_patch=32, patch_start=50,
    window=7)
PUBLISHED = {
    'ibot_vit-small-p16_16xb64-multicrop-800e_in1k': VIT_S,
    'ibot_vit-small-p16_16xb64-800e_in1k': SINGLE_CROP,
    'ibot_vit-small-p16_16xb64-300e_in1k': dict(SINGLE_CROP, epochs=300),
    'ibot_vit-base-p16_16xb64-multicrop-400e_in1k': VIT_B,
    'ibot_vit-base-p16_16xb64-multicrop-rand-400e_in1k':
    dict(VIT_B, masks=RANDOM),
    'ibot_vit-large-p16_16xb64-multicrop-250e_in1k': VIT_L,
    'ibot_vit-large-p16_16xb64-multicrop-rand-250e_in1k':
    dict(VIT_L, masks=RANDOM),
    'ibot_swin-tiny-w7_16xb64-multicrop-300e_in1k': SWIN,
    'ibot_swin-tiny-w14_40xb26-multicrop-300e_in1k':
    dict(SWIN, gpus=40, batch=26, window=14),
    'ibot_vit-base-p16_16xb64-multicrop-80e_in22k':
    dict(VIT_B, epochs=80, data='data/imagenet22k/'),
    'ibot_vit-large-p16_16xb64-multicrop-50e_in22k':
    dict(VIT_L, epochs=50, data='data/imagenet22k/'),
    'ibot_vit-small-p16_16xb64-multicrop-1000protos-800e_in1k':
    dict(VIT_S, prototypes=1000),
    # The published ViT-L, sharded, and a larger network that is not published.
    'ibot_vit-large-p16_16xb64-multicrop-sharded-250e_in1k':
    dict(VIT_L, sharded=True),
    'ibot_vit-huge-p14_16xb64-multicrop-sharded-250e_in1k': VIT_H,
    # Not published: presets for one GPU.
    'ibot_vit-small-p16_1xb64-multicrop-100e_in1k':
    dict(VIT_S, gpus=1, batch=64, epochs=100, momentum=0.99975),
    'ibot_vit-small-p16_1xb256-multicrop-100e_in1k':
    dict(VIT_S, gpus=1, batch=256, epochs=100, momentum=0.999),
}


@pytest.fixture(autouse=True)
def memory_given_back():
    """Whole ViT-L models have cycles that would wait for the collector."""
    yield
    gc.collect()


def load(name: str) -> Config:
    return Config.fromfile(CONFIGS / 'ibot' / f'{name}.py')


def build(cfg: Config) -> torch.nn.Module:
    """The model; a ViT-H, of 5 GB, without values."""
    with torch.device('meta' if cfg.model.backbone.arch == 'huge' else 'cpu'):
        return MODELS.build(cfg.model)


@pytest.fixture(params=list(PUBLISHED))
def published(request):
    return load(request.param), PUBLISHED[request.param]


def test_every_recipe_is_in_the_table():
    assert {p.stem for p in RECIPES} == set(PUBLISHED)


def test_models(published):
    cfg, row = published
    backbone, neck, head = (cfg.model[k] for k in ('backbone', 'neck', 'head'))
    assert backbone.arch == row['arch'] and backbone.img_size == 224
    assert backbone.drop_path_rate == 0.1 and backbone.with_mask_token
    if 'window' in row:
        assert backbone.type == 'ibot_mm.IBOTSwin'
        assert backbone.window_size == row['window']
    else:
        assert backbone.type == 'ibot_mm.IBOTViT'
        assert backbone.patch_size == row['mask_patch']
    assert (neck.num_layers, neck.in_channels, neck.hidden_channels,
            neck.bottleneck_channels, neck.num_prototypes) == (
                3, row['width'], 2048, 256, row['prototypes'])
    assert neck.shared_head is True and neck.get('norm_cfg') is None
    assert neck.norm_last_layer is row['fixed_gain']
    assert cfg.model.get('teacher_neck') is None
    assert (head.num_prototypes, head.student_temp, head.center_momentum,
            head.patch_center_momentum, head.loss_weight_cls,
            head.loss_weight_patch) == (row['prototypes'], 0.1, 0.9, 0.9, 1, 1)
    # Nothing beyond the paper is on.
    assert head.get('centering', 'centering') == 'centering'
    assert cfg.model.get('koleo') is None
    assert backbone.get('drop_path_type', 'image') == 'image'
    preprocessor = cfg.model.data_preprocessor
    assert [round(v / 255, 3) for v in preprocessor.mean
            ] == [0.485, 0.456, 0.406]
    assert [round(v / 255, 3) for v in preprocessor.std
            ] == [0.229, 0.224, 0.225]
    assert preprocessor.to_rgb


def test_sharding(published):
    cfg, row = published
    assert row['sharded'] is (
        cfg.get('runner_type') == 'ibot_mm.ShardedRunner')
    strategy = cfg.get('strategy', {}).get('type')
    assert strategy == ('ibot_mm.ShardedStrategy' if row['sharded'] else None)
    if row['sharded']:  # what keeps activations small, and gathers rarely
        assert cfg.model.backbone.with_cp and cfg.model.views_per_pass is None
        assert cfg.model.accumulate_passes is False


def test_optimization(published):
    cfg, row = published
    wrapper = cfg.optim_wrapper
    optimizer = wrapper.optimizer
    total = row['gpus'] * row['batch']
    assert cfg.train_dataloader.batch_size == row['batch']
    assert wrapper.get('accumulative_counts', 1) == 1
    assert optimizer.type == 'AdamW' and optimizer.betas == (0.9, 0.999)
    assert optimizer.lr == pytest.approx(5e-4 * total / 256)
    assert cfg.auto_scale_lr.base_batch_size == total
    assert optimizer.weight_decay == 0.04
    assert wrapper.clip_grad == dict(type='per_parameter', max_norm=3.0)
    lr, decay = cfg.param_scheduler
    assert (lr.warmup, lr.eta_min, decay.eta_end) == (10, 1e-6, 0.4)
    assert lr.convert_to_iter_based and decay.convert_to_iter_based
    assert cfg.train_cfg.max_epochs == row['epochs']
    hooks = cfg.default_hooks
    assert hooks.teacher_ema.momentum == row['momentum']
    assert hooks.teacher_ema.get('end_momentum', 1.0) == 1.0
    temperature = hooks.teacher_temperature
    assert (temperature.warmup_epochs, temperature.warmup_teacher_temp,
            temperature.teacher_temp, temperature.warmup_teacher_patch_temp,
            temperature.teacher_patch_temp,
            temperature.patch_start_epoch) == (30, 0.04, 0.07, 0.04, 0.07,
                                               row['patch_start'])
    assert hooks.freeze_last_layer.epochs == 1


def test_augmentations(published):
    cfg, row = published
    assert cfg.train_dataloader.dataset.data_root == row['data']
    _, crops, masks = cfg.train_dataloader.dataset.pipeline
    transform = TRANSFORMS.build(crops)
    local = row['num_local'] > 0
    views = transform.global_crops + transform.local_crops
    assert [v.num for v in views] == [1, 1] + [10] * local
    assert [v.size for v in views] == [(224, 224)] * 2 + [
        (row['local_size'], ) * 2] * local
    assert [v.scale for v in views] == [row['global_scale']] * 2 + [
        row['local_scale']] * local
    assert [v.blur_prob for v in views] == [1.0, 0.1] + [0.5] * local
    assert [v.solarize_prob for v in views] == [0., 0.2] + [0.] * local
    for view in crops.global_crops + crops.local_crops:
        # Jitter, flip, gray and the rest are the defaults of CropView.
        assert set(view) <= {'num', 'size', 'scale', 'blur_prob',
                             'solarize_prob'}
    for view in views:
        assert (view.flip, view.jitter_prob, view.gray_prob) == (0.5, 0.8,
                                                                 0.2)
        assert view.blur_sigma == (0.1, 2.0)
        assert view.ratio == (3 / 4, 4 / 3)
    mask = TRANSFORMS.build(masks)
    choices, generator = row['masks']
    assert mask.patch_size == row['mask_patch']
    assert mask.start_epoch == row['patch_start']
    assert type(mask.generator).__name__ == generator
    assert mask.generator.ratio.choices == choices
    if generator == 'BlockMaskGenerator':
        assert mask.generator.log_aspect == pytest.approx(
            (np.log(0.3), -np.log(0.3)))


@pytest.mark.parametrize('name', list(PUBLISHED))
def test_arithmetic_in_the_header(name):
    """GPUs x batch x accumulation, lr and steps as the comment says."""
    row = PUBLISHED[name]
    text = (CONFIGS / 'ibot' / f'{name}.py').read_text()
    header = ' '.join(line.lstrip('# ') for line in text.splitlines()
                      if line.startswith('#'))
    total = row['gpus'] * row['batch']
    gpus = 'GPU' if row['gpus'] == 1 else 'GPUs'
    assert (f"{row['gpus']} {gpus} x batch {row['batch']} x accumulation 1 = "
            f'{total} images') in header
    rate = re.search(r'lr = 5e-4 x (\d+) / 256 = ([\d.e-]*\d)', header)
    assert int(rate[1]) == total
    assert float(rate[2]) == pytest.approx(5e-4 * total / 256)
    images = 14197086 if 'in22k' in name else 1281167
    assert f'{images:,} // {total}' in header
    steps = images // total
    assert re.search(rf'= ({steps}|{steps:,}) steps per epoch', header)
    assert f"{steps * row['epochs']:,} in all" in header
    assert 'Aim' in header


def shrunken(cfg: Config) -> Config:
    """The same recipe on a network that a test can afford."""
    model, width = cfg.model, 24
    if model.backbone.type.endswith('Swin'):
        model.backbone.arch = dict(
            embed_dims=6, depths=[1, 1, 2, 1], num_heads=[1, 1, 2, 2])
        width = 48
    else:
        model.backbone.arch = dict(ARCH)
    model.neck.update(
        in_channels=width, hidden_channels=32, bottleneck_channels=16,
        num_prototypes=40)
    model.head.num_prototypes = 40
    return cfg


def random_image(cfg: Config, rng) -> np.ndarray:
    channels = cfg.model.backbone.get('in_channels', 3)
    dtype = np.uint8 if channels == 3 else np.uint16
    return rng.integers(0, np.iinfo(dtype).max, (120, 100, channels),
                        dtype=dtype)


@pytest.mark.parametrize('path', RECIPES, ids=lambda p: p.stem)
def test_one_step_of_every_recipe(path):
    """Real crops and masks of its pipeline; every trained weight moves."""
    cfg = shrunken(Config.fromfile(path))
    pipeline = [
        TRANSFORMS.build(step)
        for step in cfg.train_dataloader.dataset.pipeline[1:]
    ]
    rng = np.random.default_rng(0)
    samples = []
    for i in range(2):
        data = dict(img=random_image(cfg, rng), rng=random.Random(i),
                    epoch=99)
        for transform in pipeline:
            data = transform(data)
        samples.append(data)
    samples[0]['masks'][:, ::2] = True  # whatever was drawn
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.train()
    wrapper_cfg = dict(cfg.optim_wrapper)
    constructor = PretrainOptimWrapperConstructor(
        {k: v for k, v in wrapper_cfg.items() if k != 'constructor'})
    wrapper = constructor(model)
    before = {n: p.clone() for n, p in model.named_parameters()
              if p.requires_grad}
    logged = model.train_step(multi_crop_collate(samples), wrapper)
    assert torch.isfinite(logged['loss']) and wrapper.stepped
    still = [n for n, p in model.named_parameters()
             if n in before and torch.equal(p, before[n])]
    # At the start the mask token and the biases are 0 and so is their decay:
    # they can only move by their gradients.
    assert not still, still


@pytest.mark.parametrize('path', RECIPES, ids=lambda p: p.stem)
def test_recipes_build_and_open_with_their_launch_line(path):
    text = path.read_text()
    assert text.startswith('# Launch: ') and path.name in text
    assert 'Schedule: ' in text
    cfg = Config.fromfile(path)
    assert all(len(line) < 80 for line in text.splitlines())
    model = build(cfg)
    assert model.head.center.value.shape == (cfg.model.neck.num_prototypes, )
    for step in cfg.train_dataloader.dataset.pipeline:
        assert TRANSFORMS.build(step) is not None
    assert DATASETS.get(cfg.train_dataloader.dataset.type) is not None
    for hook in cfg.default_hooks.values():
        assert HOOKS.build(hook) is not None
    for hook in ('teacher_ema', 'teacher_temperature', 'freeze_last_layer',
                 'bad_files', 'training_health'):
        assert hook in cfg.default_hooks


def test_metafile_and_readme_know_every_recipe():
    """What mim and the readme say is what the configs are."""
    metafile = 'configs/ibot/metafile.yml'
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    assert metafile in index['Import']
    entries = {model['Name']: model for model in yaml.safe_load(
        (ROOT / metafile).read_text())['Models']}
    assert list(entries) == list(PUBLISHED)
    readme = (CONFIGS / 'ibot' / 'README.md').read_text()
    for name, entry in entries.items():
        row = PUBLISHED[name]
        assert entry['Config'] == f'configs/ibot/{name}.py'
        assert entry['Metadata']['Epochs'] == row['epochs']
        assert entry['Metadata']['Batch Size'] == row['gpus'] * row['batch']
        if row['arch'] in ('small', 'tiny', 'huge'):
            model = build(load(name))
            assert entry['Metadata']['Parameters'] == sum(
                p.numel() for p in model.parameters())
    for path in RECIPES:
        assert f'({path.name})' in readme


RESULTS = {
    'ibot_vit-small-p16_16xb64-multicrop-800e_in1k': '75.2 77.9 82.3',
    'ibot_vit-small-p16_16xb64-800e_in1k': '72.4 76.2 82.0',
    'ibot_vit-small-p16_16xb64-300e_in1k': '70.3 74.8 81.5',
    'ibot_vit-base-p16_16xb64-multicrop-400e_in1k': '77.1 79.5 84.0',
    'ibot_vit-base-p16_16xb64-multicrop-rand-400e_in1k': '77.3 79.8 84.1',
    'ibot_vit-large-p16_16xb64-multicrop-250e_in1k': '78.0 81.0 84.8',
    'ibot_vit-large-p16_16xb64-multicrop-sharded-250e_in1k': '78.0 81.0 84.8',
    'ibot_vit-large-p16_16xb64-multicrop-rand-250e_in1k': '77.7 81.3 85.0',
    'ibot_swin-tiny-w7_16xb64-multicrop-300e_in1k': '75.3 78.6',
    'ibot_swin-tiny-w14_40xb26-multicrop-300e_in1k': '76.2 79.3',
    'ibot_vit-base-p16_16xb64-multicrop-80e_in22k': '71.1 79.0 84.4',
    'ibot_vit-large-p16_16xb64-multicrop-50e_in22k': '72.9 82.3 86.6',
}


@pytest.mark.parametrize('name', list(RESULTS))
def test_published_results_stand_beside_the_config(name):
    numbers = RESULTS[name].split()
    header = (CONFIGS / 'ibot' / f'{name}.py').read_text().split('_base_')[0]
    row = next(line for line in (CONFIGS / 'ibot' / 'README.md').read_text(
    ).splitlines() if f'({name}.py)' in line)
    for text in (header.split('Aim')[1], row.split('.py)')[1]):
        assert re.findall(r'\d\d\.\d', text)[:len(numbers)] == numbers
    assert 'published' in header
