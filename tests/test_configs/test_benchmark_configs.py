"""Every evaluation config against the recipes, written out here."""

import functools
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATA_SAMPLERS
from mmpretrain.registry import DATASETS as HOST_DATASETS

import ibot_mm  # noqa: F401
from ibot_mm.registry import EVALUATORS, HOOKS, METRICS, MODELS, TRANSFORMS

ROOT = Path(__file__).parents[2] / 'configs' / 'benchmarks' / 'classification'
FILES = sorted(ROOT.rglob('*.py'))
WIDTH = dict(small=384, base=768, large=1024)

# Published results: the first one of each file.
RESULTS = {
    'knn/ibot_vit-small-p16_knn_in1k': '75.2',
    'knn/ibot_vit-base-p16_knn_in1k': '77.1',
    'knn/ibot_vit-large-p16_knn_in1k': '78.0',
    'knn/ibot_swin-tiny-w7_knn_in1k': '75.3',
    'knn/ibot_swin-tiny-w14_knn_in1k': '76.2',
    'linear/ibot_vit-small-p16_linear-8xb128-100e_in1k': '77.9',
    'linear/ibot_vit-base-p16_linear-8xb128-100e_in1k': '79.5',
    'linear/ibot_vit-large-p16_linear-8xb128-100e_in1k': '81.0',
    'linear/ibot_swin-tiny-w7_linear-8xb128-100e_in1k': '78.6',
    'linear/ibot_swin-tiny-w14_linear-8xb128-100e_in1k': '79.3',
    'logistic/ibot_vit-small-p16_logistic_in1k': None,
    'finetune/ibot_vit-small-p16_finetune-8xb128-200e_in1k': '82.3',
    'finetune/ibot_vit-base-p16_finetune-8xb128-100e_in1k': '84.0',
    'finetune/ibot_vit-large-p16_finetune-8xb64-acc2-50e_in1k': '84.8',
    'finetune/ibot_vit-large-p16_finetune-8xb64-acc2-50e_in1k-256px': '86.6',
    'finetune/ibot_vit-large-p16_finetune-8xb32-acc4-50e_in1k-384px': '87.5',
    'finetune/ibot_vit-large-p16_finetune-8xb16-acc8-50e_in1k-512px': '87.8',
    'semi/ibot_vit-small-p16_finetune-8xb128-1000e_in1k-1pct': '61.9',
    'semi/ibot_vit-small-p16_finetune-8xb128-1000e_in1k-10pct': '75.1',
    'semi/ibot_vit-small-p16_finetune-backbone-8xb128-1000e_in1k-1pct': '55.0',
    'semi/ibot_vit-small-p16_finetune-backbone-8xb128-1000e_in1k-10pct':
    '74.0',
    'semi/ibot_vit-small-p16_knn_in1k-1pct': '62.3',
    'semi/ibot_vit-small-p16_knn_in1k-10pct': '70.1',
    'semi/ibot_vit-small-p16_linear-8xb128-100e_in1k-1pct': '62.5',
    'semi/ibot_vit-small-p16_linear-8xb128-100e_in1k-10pct': '72.2',
    'semi/ibot_vit-small-p16_logistic_in1k-1pct': '65.9',
    'semi/ibot_vit-small-p16_logistic_in1k-10pct': '73.4',
    'unsupervised/ibot_vit-small-p16-1000protos_unsupervised_in1k': '43.4',
    **{f'transfer/ibot_vit-{arch}-p16_finetune-8xb96-{name}': result
       for arch, results in (('small', '99.1 90.7 98.6 94.0 73.7 78.5'),
                             ('base', '99.2 92.2 98.9 94.3 74.6 79.6'))
       for name, result in zip(
           ('1000e_cifar10', '1000e_cifar100', '1000e_flowers', '1000e_cars',
            '360e_inat18', '360e_inat19'), results.split())},
}



def key(path: Path) -> str:
    return str(path.relative_to(ROOT))[:-3]


@functools.cache
def load(name: str) -> Config:
    """Each file is parsed once."""
    return Config.fromfile(ROOT / f'{name}.py')


def test_every_config_is_in_the_table():
    assert {key(path) for path in FILES} == set(RESULTS)


@pytest.mark.parametrize('path', FILES, ids=key)
def test_headers(path):
    """A launch line to paste, and the published result."""
    header = path.read_text().split('_base_')[0]
    tool = 'bash tools/dist_train.sh' if 'xb' in path.stem else (
        'python tools/test.py')
    assert header.startswith(f'# {tool} {path.relative_to(ROOT.parents[2])} ')
    assert 'CHECKPOINT' in header.splitlines()[0]
    assert (RESULTS[key(path)] or '') in header


@pytest.mark.parametrize('path', [p for p in FILES if 'xb' in p.stem],
                         ids=key)
def test_batches_and_epochs_are_those_of_the_name(path):
    """``..-8xb64-acc2-50e_..``: GPUs, batch, accumulation and epochs."""
    cfg = load(key(path))
    batch = cfg.train_dataloader.batch_size
    accumulation = cfg.optim_wrapper.get('accumulative_counts', 1)
    steps = f'-acc{accumulation}' if accumulation > 1 else ''
    epochs = cfg.train_cfg.max_epochs
    assert f'-8xb{batch}{steps}-{epochs}e_' in path.stem
    total = 768 if path.parent.name == 'transfer' else 1024
    assert 8 * batch * accumulation == total
    assert cfg.auto_scale_lr.base_batch_size == total


@pytest.mark.parametrize('path', FILES, ids=key)
def test_everything_that_a_config_names_is_there(path):
    cfg = load(key(path))
    init_default_scope('mmpretrain')
    arch = cfg.model.backbone.get('arch')
    assert f'-{arch}-' in path.stem
    with torch.device('cpu' if 'swin' in path.stem else 'meta'):
        backbone = MODELS.build(dict(cfg.model.backbone, init_cfg=None))
    assert backbone.block_widths[-1] == WIDTH.get(arch, 768)
    for name in ('train', 'val', 'test'):
        loader = cfg.get(f'{name}_dataloader')
        if loader:
            assert HOST_DATASETS.get(loader.dataset.type) is not None
            assert DATA_SAMPLERS.get(loader.sampler.type) is not None
            for step in loader.dataset.pipeline:
                TRANSFORMS.build(step)
    for hook in cfg.default_hooks.values():
        HOOKS.build(hook)
    if 'protocol' in cfg.test_cfg:
        assert EVALUATORS.build(cfg.test_cfg.protocol) is not None
    else:
        assert METRICS.build(cfg.test_evaluator) is not None
        # A test repeats the validation.
        assert cfg.test_dataloader == cfg.val_dataloader


@pytest.mark.parametrize('name, epochs, path_rate, decay, warmup, size', [
    ('vit-small-p16_finetune-8xb128-200e_in1k', 200, .1, .75, 20, 224),
    ('vit-base-p16_finetune-8xb128-100e_in1k', 100, .2, .65, 20, 224),
    ('vit-large-p16_finetune-8xb64-acc2-50e_in1k', 50, .4, .75, 5, 224),
    ('vit-large-p16_finetune-8xb64-acc2-50e_in1k-256px', 50, .4, .75, 5, 256),
    ('vit-large-p16_finetune-8xb32-acc4-50e_in1k-384px', 50, .4, .75, 5, 384),
    ('vit-large-p16_finetune-8xb16-acc8-50e_in1k-512px', 50, .4, .75, 5, 512),
])
def test_fine_tuning(name, epochs, path_rate, decay, warmup, size):
    cfg = load(f'finetune/ibot_{name}')
    backbone, optimizer = cfg.model.backbone, cfg.optim_wrapper.optimizer
    assert (backbone.drop_path_rate, backbone.img_size,
            backbone.out_type) == (path_rate, size, 'cls_token')
    assert cfg.model.head.in_channels == WIDTH[backbone.arch]
    assert cfg.optim_wrapper.paramwise_cfg.layer_decay_rate == decay
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay,
            optimizer.betas) == ('AdamW', 1e-3, 0.05, (0.9, 0.999))
    schedule, = cfg.param_scheduler
    assert (schedule.type, schedule.warmup, schedule.eta_min_ratio) == (
        'ibot_mm.WarmupCosineLR', warmup, pytest.approx(1e-6 / 1e-3))
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.model.head.loss.label_smooth_val == 0.1
    # timm's initial std 0.02 times the scale 0.001.
    assert cfg.model.head.init_cfg.std == pytest.approx(0.02 * 0.001)
    assert [(a.type, a.alpha) for a in cfg.model.train_cfg.augments] == [
        ('Mixup', 0.8), ('CutMix', 1.0)]
    train = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert train['RandomResizedCrop'].scale == size
    assert train['RandomResizedCrop'].interpolation == 'bicubic'
    rand = train['RandAugment']
    assert (rand.policies, rand.num_policies, rand.magnitude_level,
            rand.magnitude_std, rand.total_level) == (
                'timm_increasing', 2, 9, 0.5, 10)
    assert train['RandomErasing'].erase_prob == 0.25
    test = {step.type: step for step in cfg.test_dataloader.dataset.pipeline}
    # crop_pct is 224 / 256 below 384 pixels and 1 from there on.
    assert test['ResizeEdge'].scale == int(
        size / (0.875 if size < 384 else 1))
    assert test['ResizeEdge'].interpolation == 'bilinear'
    assert test['CenterCrop'].crop_size == size


@pytest.mark.parametrize('name, blocks, pooling', [
    ('vit-small-p16', 4, 'cls'), ('vit-base-p16', 1, 'cls_avg'),
    ('vit-large-p16', 1, 'cls_avg'), ('swin-tiny-w7', 4, 'cls'),
    ('swin-tiny-w14', 4, 'cls')])
def test_linear_probes(name, blocks, pooling):
    cfg = load(f'linear/ibot_{name}_linear-8xb128-100e_in1k')
    assert (cfg.model.n_last_blocks, cfg.model.pooling) == (blocks, pooling)
    assert cfg.model.backbone.init_cfg == dict(
        type='Pretrained', checkpoint='')
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.momentum,
            optimizer.weight_decay) == ('SGD', 1024 / 256, 0.9, 0)
    schedule, = cfg.param_scheduler
    assert (schedule.type, schedule.eta_min, schedule.by_epoch) == (
        'CosineAnnealingLR', 0, True)
    train = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert set(train) == {'ibot_mm.LoadImage', 'RandomResizedCrop',
                          'RandomFlip', 'PackInputs'}
    crop = train['RandomResizedCrop']
    assert (crop.scale, crop.crop_ratio_range, crop.interpolation) == (
        224, (0.08, 1.0), 'bilinear')
    if 'swin' in name:
        assert cfg.model.backbone.window_size == int(name[11:])


def test_k_nn_and_its_data():
    cfg = load('knn/ibot_vit-small-p16_knn_in1k')
    assert cfg.test_cfg.protocol == dict(
        type='ibot_mm.KNNClassification', k=[20, 10, 100, 200],
        temperature=0.07)
    for loader in (cfg.test_dataloader, cfg.test_cfg.bank_dataloader):
        steps = {step.type: step for step in loader.dataset.pipeline}
        assert steps['ResizeEdge'].scale == 256
        assert steps['ResizeEdge'].interpolation == 'bicubic'
        assert steps['CenterCrop'].crop_size == 224
        # A sample that counts twice would falsify the accuracy.
        assert loader.sampler.round_up is False
    assert cfg.test_dataloader.dataset.data_prefix == 'val'
    assert cfg.test_cfg.bank_dataloader.dataset.data_prefix == 'train'


def test_logistic_regression_and_clusters():
    cfg = load('logistic/ibot_vit-small-p16_logistic_in1k')
    assert cfg.test_cfg.protocol.lambdas == [0.01, 0.1, 1.0]
    cfg = load('unsupervised/ibot_vit-small-p16-1000protos_unsupervised_in1k')
    assert cfg.model.neck.num_prototypes == 1000


@pytest.mark.parametrize('share', ['1pct', '10pct'])
def test_semi_supervised(share):
    subset = f'data/imagenet/{share[:-3]}percent.txt'
    start = 'semi/ibot_vit-small-p16_'
    cfg = load(f'{start}finetune-8xb128-1000e_in1k-{share}')
    assert cfg.train_dataloader.dataset.subset == subset
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(5e-6 * 1024 / 512)
    assert cfg.optim_wrapper.get('paramwise_cfg') is None  # no layer decay
    assert cfg.model.neck.type == 'ibot_mm.ProjectionNeck'
    assert (cfg.model.neck.in_channels, cfg.model.neck.hidden_channels,
            cfg.model.head.in_channels) == (384, 2048, 2048)
    assert 'subset' not in cfg.val_dataloader.dataset
    bare = load(f'{start}finetune-backbone-8xb128-1000e_in1k-{share}')
    assert bare.model.neck is None and bare.model.head.in_channels == 384
    assert bare.train_dataloader == cfg.train_dataloader
    for name in ('knn', 'logistic'):
        cfg = load(f'{start}{name}_in1k-{share}')
        assert cfg.test_cfg.bank_dataloader.dataset.subset == subset
        assert 'subset' not in cfg.test_dataloader.dataset
    cfg = load(f'{start}linear-8xb128-100e_in1k-{share}')
    assert cfg.train_dataloader.dataset.subset == subset


TRANSFER = {
    # classes, rate of ViT-S and of ViT-B for a batch of 512, epochs, erasing
    'cifar10': (10, 7.5e-6, 7.5e-6, 1000, 0.25),
    'cifar100': (100, 7.5e-6, 7.5e-6, 1000, 0.25),
    'flowers': (102, 7.5e-6, 7.5e-6, 1000, 0.25),
    'cars': (196, 7.5e-5, 7.5e-5, 1000, 0.25),
    'inat18': (8142, 5e-5, 7.5e-6, 360, 0.1),
    'inat19': (1010, 2.5e-5, 7.5e-6, 360, 0.1),
}


@pytest.mark.parametrize('data', list(TRANSFER))
@pytest.mark.parametrize('arch', ['small', 'base'])
def test_transfer(data, arch):
    classes, small, base, epochs, erasing = TRANSFER[data]
    cfg = load(f'transfer/ibot_vit-{arch}-p16_finetune-8xb96-{epochs}e_{data}')
    rate = (small if arch == 'small' else base) * 768 / 512
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(rate)
    assert cfg.optim_wrapper.optimizer.weight_decay == 0.05
    assert cfg.optim_wrapper.get('paramwise_cfg') is None
    schedule, = cfg.param_scheduler
    assert (schedule.type, schedule.by_epoch, schedule.warmup,
            schedule.warmup_start, schedule.eta_min) == (
                'ibot_mm.EpochCosineLR', True, 5, 1e-6, 1e-5)
    assert cfg.model.head.num_classes == classes
    assert cfg.model.data_preprocessor.num_classes == classes
    assert cfg.model.head.in_channels == WIDTH[arch]
    assert cfg.model.backbone.drop_path_rate == 0.1
    assert cfg.train_dataloader.sampler == dict(
        type='RepeatAugSampler', num_repeats=3)
    train = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert train['RandomErasing'].erase_prob == erasing
    assert ('ibot_mm.RGBToBGR' in train) == data.startswith('cifar')
    assert cfg.train_dataloader.dataset.data_root.rstrip('/').endswith(
        {'flowers': 'flowers102', 'cars': 'stanford_cars'}.get(data, data))
    test = {step.type: step for step in cfg.test_dataloader.dataset.pipeline}
    assert test['ResizeEdge'].interpolation == 'bicubic'


def test_pipelines_run(tmp_path):
    """A picture through every pipeline: size and type of the result."""
    init_default_scope('mmpretrain')
    picture = np.random.default_rng(0).integers(
        0, 255, (300, 400, 3), dtype=np.uint8)
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, picture)
    pipelines = {}
    for cfg in map(load, RESULTS):
        for name in ('train_dataloader', 'test_dataloader'):
            if name in cfg:
                pipeline = cfg[name].dataset.pipeline
                pipelines[str(pipeline)] = pipeline, cfg.model.backbone
    for pipeline, backbone in pipelines.values():
        data = dict(gt_label=3, img_path=path)
        if pipeline[0].type == 'ibot_mm.RGBToBGR':  # CIFAR
            data = dict(gt_label=3, img=picture[:32, :32])
        for step in pipeline:
            data = TRANSFORMS.build(step)(data)
        assert data['inputs'].shape == (3, *[backbone.img_size] * 2)
        assert data['data_samples'].gt_label.item() == 3
