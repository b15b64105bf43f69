"""Pre-training configs: hyper-parameters, models, and one step of each.

``RECIPES`` states the recipes of the paper and of the release model by model.
"""

import functools
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, HOOKS, MODELS, TRANSFORMS

from ibot_mm.datasets import multi_crop_collate
from tests.helpers.builders import ARCH

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs'

# Ranges that the mask ratio of a crop is drawn from, one of them at random.
BLOCK = ('BlockMaskGenerator', [(0, 0), (0.1, 0.5)])
BLOCK_ON_EVERY_CROP = ('BlockMaskGenerator', [(0.1, 0.5)])
RANDOM = ('RandomMaskGenerator', [(0, 0), (0.65, 0.75)])
SCALE_25 = dict(global_scale=(0.25, 1), local_scale=(0.05, 0.25))
SCALE_32 = dict(global_scale=(0.32, 1), local_scale=(0.05, 0.32))
IN_22K = 'data/imagenet22k/'

VIT_S = dict(
    SCALE_25, arch='small', width=384, gpus=16, batch=64, epochs=800, lr=2e-3,
    min_lr=1e-6, lr_warmup=10, clip=3.0, frozen=1, temp_warmup=30,
    momentum=0.996, fixed_gain=False, prototypes=8192, masks=BLOCK,
    mask_patch=16, mask_start=0, num_local=10, local_size=96,
    data='data/imagenet/')
VIT_S_2CROPS = dict(
    VIT_S, global_scale=(0.14, 1), num_local=0, masks=BLOCK_ON_EVERY_CROP)
VIT_B = dict(
    VIT_S, **SCALE_32, arch='base', width=768, epochs=400, lr=3e-3,
    min_lr=2e-6, clip=0.3, frozen=3, temp_warmup=50, fixed_gain=True)
# The paper has the epochs, all else is ViT-B's.
VIT_L = dict(VIT_B, arch='large', width=1024, epochs=250)
# Not published.
VIT_H = dict(VIT_L, arch='huge', width=1280, mask_patch=14, local_size=98)
SWIN = dict(
    VIT_S, arch='tiny', width=768, window=7, epochs=300, mask_patch=32,
    mask_start=50)
# Warm-ups are assumed to take the same share of the run as on ImageNet-1K.
SHORT = dict(data=IN_22K, lr_warmup=2, temp_warmup=10, frozen=1)

RECIPES = {
    'vit-small-p16_16xb64-multicrop-800e_in1k': VIT_S,
    'vit-small-p16_16xb64-multicrop-300e_in1k': dict(VIT_S, epochs=300),
    'vit-small-p16_16xb64-multicrop-100e_in1k': dict(VIT_S, epochs=100),
    'vit-small-p16_16xb64-800e_in1k': VIT_S_2CROPS,
    'vit-small-p16_16xb64-300e_in1k': dict(VIT_S_2CROPS, epochs=300),
    'vit-small-p16_16xb64-multicrop-160e_in22k':
    dict(VIT_S, **dict(SHORT, temp_warmup=6), epochs=160),
    'vit-small-p16_16xb64-multicrop-1000protos-800e_in1k':
    dict(VIT_S, prototypes=1000),
    'vit-base-p16_16xb64-multicrop-400e_in1k': VIT_B,
    'vit-base-p16_16xb64-400e_in1k':
    dict(VIT_B, global_scale=(0.14, 1), num_local=0,
         masks=BLOCK_ON_EVERY_CROP),
    'vit-base-p16_16xb64-multicrop-rand-400e_in1k': dict(VIT_B, masks=RANDOM),
    'vit-base-p16_16xb64-multicrop-80e_in22k': dict(VIT_B, **SHORT, epochs=80),
    'vit-large-p16_16xb64-multicrop-250e_in1k': VIT_L,
    'vit-large-p16_16xb64-multicrop-rand-250e_in1k': dict(VIT_L, masks=RANDOM),
    'vit-large-p16_16xb64-multicrop-50e_in22k':
    dict(VIT_L, **SHORT, epochs=50),
    'vit-large-p16_16xb64-multicrop-sharded-250e_in1k': VIT_L,
    'vit-huge-p14_16xb64-multicrop-sharded-250e_in1k': VIT_H,
    'swin-tiny-w7_16xb64-multicrop-300e_in1k': SWIN,
    'swin-tiny-w14_40xb26-multicrop-300e_in1k':
    dict(SWIN, window=14, gpus=40, batch=26, lr=2.03125e-3),
    # For one GPU; not published.
    'vit-small-p16_1xb64-multicrop-100e_in1k':
    dict(VIT_S, gpus=1, batch=64, epochs=100, lr=1.25e-4, momentum=0.99975),
    'vit-small-p16_1xb256-multicrop-100e_in1k':
    dict(VIT_S, gpus=1, batch=256, epochs=100, lr=5e-4, momentum=0.999),
}

# k-NN, linear and fine-tuning, top-1 on ImageNet-1K.
RESULTS = {
    'vit-small-p16_16xb64-multicrop-800e_in1k': '75.2 77.9 82.3',
    'vit-small-p16_16xb64-multicrop-300e_in1k': '74.0 77.4 -',
    'vit-small-p16_16xb64-multicrop-100e_in1k': '71.5 - -',
    'vit-small-p16_16xb64-800e_in1k': '72.4 76.2 82.0',
    'vit-small-p16_16xb64-300e_in1k': '70.3 74.8 81.5',
    'vit-small-p16_16xb64-multicrop-160e_in22k': '69.3 76.5 -',
    'vit-base-p16_16xb64-multicrop-400e_in1k': '77.1 79.5 84.0',
    'vit-base-p16_16xb64-400e_in1k': '71.2 76.0 -',
    'vit-base-p16_16xb64-multicrop-rand-400e_in1k': '77.3 79.8 84.1',
    'vit-base-p16_16xb64-multicrop-80e_in22k': '71.1 79.0 84.4',
    'vit-large-p16_16xb64-multicrop-250e_in1k': '78.0 81.0 84.8',
    'vit-large-p16_16xb64-multicrop-sharded-250e_in1k': '78.0 81.0 84.8',
    'vit-large-p16_16xb64-multicrop-rand-250e_in1k': '77.7 81.3 85.0',
    'vit-large-p16_16xb64-multicrop-50e_in22k': '72.9 82.3 86.6',
    'swin-tiny-w7_16xb64-multicrop-300e_in1k': '75.3 78.6 -',
    'swin-tiny-w14_40xb26-multicrop-300e_in1k': '76.2 79.3 -',
}


def path_of(name: str) -> Path:
    return CONFIGS / 'ibot' / f'ibot_{name}.py'


@functools.cache
def load(name: str) -> Config:
    """Each file is parsed once."""
    return Config.fromfile(path_of(name))


@functools.cache
def built(name: str) -> torch.nn.Module:
    """The model, without values; Swin reads values while it is built."""
    with torch.device('cpu' if 'swin' in name else 'meta'):
        return MODELS.build(load(name).model)


@pytest.fixture(params=list(RECIPES))
def recipe(request):
    return load(request.param), RECIPES[request.param]


def test_every_config_is_in_the_table():
    assert set((CONFIGS / 'ibot').glob('*.py')) == set(map(path_of, RECIPES))


def test_models(recipe):
    cfg, row = recipe
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


@pytest.mark.parametrize('name', list(RECIPES))
def test_sharding(name):
    cfg, sharded = load(name), 'sharded' in name
    assert cfg.get('runner_type') == (
        'ibot_mm.ShardedRunner' if sharded else None)
    strategy = cfg.get('strategy', {}).get('type')
    assert strategy == ('ibot_mm.ShardedStrategy' if sharded else None)
    if sharded:  # small activations, few gathers
        assert cfg.model.backbone.with_cp and cfg.model.compile_blocks is None
        assert cfg.model.accumulate_passes is False


def test_optimization(recipe):
    cfg, row = recipe
    wrapper, hooks = cfg.optim_wrapper, cfg.default_hooks
    optimizer = wrapper.optimizer
    assert cfg.train_dataloader.batch_size == row['batch']
    assert cfg.auto_scale_lr.base_batch_size == row['gpus'] * row['batch']
    assert wrapper.get('accumulative_counts', 1) == 1
    assert optimizer.type == 'AdamW' and optimizer.betas == (0.9, 0.999)
    assert optimizer.lr == pytest.approx(row['lr'])
    assert optimizer.weight_decay == 0.04
    assert wrapper.clip_grad == dict(
        type='per_parameter', max_norm=row['clip'])
    lr, decay = cfg.param_scheduler
    assert (lr.warmup, lr.eta_min) == (row['lr_warmup'], row['min_lr'])
    assert decay.eta_end == 0.4
    assert lr.convert_to_iter_based and decay.convert_to_iter_based
    assert cfg.train_cfg.max_epochs == row['epochs']
    assert hooks.teacher_ema.momentum == row['momentum']
    assert hooks.teacher_ema.get('end_momentum', 1.0) == 1.0
    temperature = hooks.teacher_temperature
    assert (temperature.warmup_teacher_temp, temperature.teacher_temp,
            temperature.warmup_teacher_patch_temp,
            temperature.teacher_patch_temp) == (0.04, 0.07, 0.04, 0.07)
    assert temperature.warmup_epochs == row['temp_warmup']
    assert temperature.patch_start_epoch == row['mask_start']
    assert hooks.freeze_last_layer.epochs == row['frozen']


def test_crops(recipe):
    cfg, row = recipe
    assert cfg.train_dataloader.dataset.data_root == row['data']
    crops = cfg.train_dataloader.dataset.pipeline[1]
    transform = TRANSFORMS.build(crops)
    local = row['num_local'] > 0
    views = transform.global_crops + transform.local_crops
    assert [v.num for v in views] == [1, 1] + [row['num_local']] * local
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


def test_masks(recipe):
    cfg, row = recipe
    mask = TRANSFORMS.build(cfg.train_dataloader.dataset.pipeline[2])
    assert mask.patch_size == row['mask_patch']
    assert mask.start_epoch == row['mask_start']
    generator, ranges = row['masks']
    assert type(mask.generator).__name__ == generator
    if generator == 'BlockMaskGenerator':
        assert mask.generator.log_aspect == pytest.approx(
            (np.log(0.3), -np.log(0.3)))
    rng = random.Random(0)
    ratios = np.array([mask.generator.ratio(rng) for _ in range(2000)])
    for low, high in ranges:
        inside = ratios[(low - 1e-9 <= ratios) & (ratios <= high + 1e-9)]
        assert len(inside) / 2000 == pytest.approx(1 / len(ranges), abs=0.05)
        assert (inside.min(), inside.max()) == pytest.approx(
            (low, high), abs=0.005)


@pytest.mark.parametrize('name', list(RECIPES))
def test_everything_that_a_config_names_exists(name):
    cfg, model = load(name), built(name)
    assert model.head.center.value.shape == (RECIPES[name]['prototypes'], )
    for step in cfg.train_dataloader.dataset.pipeline:
        TRANSFORMS.build(step)
    assert DATASETS.get(cfg.train_dataloader.dataset.type) is not None
    for hook in cfg.default_hooks.values():
        assert HOOKS.build(hook) is not None
    assert {'teacher_ema', 'teacher_temperature', 'freeze_last_layer',
            'bad_files', 'training_health'} <= set(cfg.default_hooks)


def shrunken(path: Path) -> Config:
    """The same recipe for a network that a test can afford."""
    cfg = Config.fromfile(path)
    model, width = cfg.model, 24
    model.backbone.pop('init_cfg', None)
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


@pytest.mark.parametrize('path', [
    *map(path_of, RECIPES),
    *(CONFIGS / 'examples').glob('ibot_vit-*-p*_1xb*.py')
], ids=lambda p: p.stem)
def test_one_step(path):
    """Real crops and masks of the pipeline; every trained weight moves."""
    cfg = shrunken(path)
    channels = cfg.model.backbone.get('in_channels', 3)
    dtype = np.uint8 if channels == 3 else np.uint16
    pipeline = [
        TRANSFORMS.build(step)
        for step in cfg.train_dataloader.dataset.pipeline[1:]
    ]
    rng = np.random.default_rng(0)
    samples = []
    for i in range(2):
        data = dict(
            img=rng.integers(0, 255, (120, 100, channels), dtype=dtype),
            rng=random.Random(i), epoch=99)
        for transform in pipeline:
            data = transform(data)
        samples.append(data)
    samples[0]['masks'][:, ::2] = True  # whatever was drawn
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.train()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    before = {n: p.clone() for n, p in model.named_parameters()
              if p.requires_grad}
    logged = model.train_step(multi_crop_collate(samples), wrapper)
    assert torch.isfinite(logged['loss']) and wrapper.stepped
    # At the start the mask token and the biases are 0 and so is their decay:
    # they can only move by their gradients.
    assert [n for n, p in model.named_parameters()
            if n in before and torch.equal(p, before[n])] == []


def test_a_file_outside_replaces_one_step_of_the_pipeline(tmp_path):
    """As docs/own_data.md says."""
    path = tmp_path / 'mine.py'
    path.write_text("""\
_base_ = __import__('ibot_mm').config_path(
    'ibot/ibot_swin-tiny-w7_16xb64-multicrop-300e_in1k.py')
crop = dict(size=160, scale=(0.25, 1.0))
multi_crop = dict(
    _base_.multi_crop, global_crops=[crop, crop], local_crops=[])
train_dataloader = dict(dataset=dict(
    pipeline=[_base_.load_image, multi_crop, _base_.masks]))
param_scheduler = [
    dict(_base_.lr_schedule, warmup=5), _base_.weight_decay_schedule]
""")
    cfg, inherited = Config.fromfile(path), load(
        'swin-tiny-w7_16xb64-multicrop-300e_in1k')
    pipeline, old = (c.train_dataloader.dataset.pipeline
                     for c in (cfg, inherited))
    assert pipeline[1].global_crops[0].size == 160
    assert pipeline[1].type == 'ibot_mm.MultiCrop'
    assert (pipeline[0], pipeline[2]) == (old[0], old[2])
    assert pipeline[2].start_epoch == 50
    assert cfg.param_scheduler[0].warmup == 5
    assert cfg.param_scheduler[1] == inherited.param_scheduler[1]


def test_labels_are_switched_on_by_inheriting(tmp_path):
    """The block of docs/own_data.md, as a file of a user."""
    blocks = re.findall(r'```python\n(.*?)```', (
        ROOT / 'docs' / 'own_data.md').read_text(), flags=re.S)
    text, = (block for block in blocks if 'own-labeled-images' in block)
    (tmp_path / 'mine.py').write_text(text)
    cfg = Config.fromfile(tmp_path / 'mine.py')
    assert [(dataset.data_root, dataset.data_prefix) for dataset in (
        cfg.train_dataloader.dataset, cfg.val_dataloader.dataset,
        cfg.val_cfg.bank_dataloader.dataset)] == [
            ('/data/my_images/', 'train'), ('/data/my_images/', 'val'),
            ('/data/my_images/', 'train')]
    # All settings but those of the labels are those of the other template.
    other = Config.fromfile(
        CONFIGS / 'examples' /
        'ibot_vit-small-p16_1xb64-multicrop-100e_own-images.py')
    assert cfg.val_cfg.type == 'ibot_mm.KNNValLoop' and other.val_cfg is None
    for key in ('model', 'optim_wrapper', 'param_scheduler', 'train_cfg',
                'default_hooks'):
        assert cfg[key] == other[key]


def test_metafile_agrees_with_the_configs():
    metafile = 'configs/ibot/metafile.yml'
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    assert metafile in index['Import']
    models = yaml.safe_load((ROOT / metafile).read_text())['Models']
    for entry in models:
        name = entry['Name'].removeprefix('ibot_')
        row, metadata = RECIPES[name], entry['Metadata']
        assert ROOT / entry['Config'] == path_of(name)
        assert metadata['Epochs'] == row['epochs']
        assert metadata['Batch Size'] == row['gpus'] * row['batch']
        assert metadata['Parameters'] == sum(
            p.numel() for p in built(name).parameters())


@pytest.mark.parametrize('name', list(RECIPES))
def test_headers_and_metafile(name):
    """A launch line to paste, and the published results next to the config."""
    path = path_of(name)
    header = path.read_text().split('_base_')[0]
    launches = [line for line in header.splitlines() if 'tools/' in line]
    assert len(launches) == 1 and f'configs/ibot/{path.name}' in launches[0]
    results = RESULTS.get(name, '- - -').split()
    assert all(result in header for result in results if result != '-')
    entry, = (model for model in yaml.safe_load(
        (CONFIGS / 'ibot' / 'metafile.yml').read_text())['Models']
        if model['Name'] == path.stem)
    found = entry['Results'][0]['Metrics'] if entry['Results'] else {}
    assert [str(found.get(f'{kind} (published)', '-')) for kind in (
        'k-NN', 'linear', 'fine-tuned')] == results
