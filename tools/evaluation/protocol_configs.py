"""Configs of the classification protocols for a pre-trained model."""

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from mmengine.config import Config

from ibot_mm.paths import config_path

_FOLDER = 'benchmarks/classification'
PROTOCOLS = ('knn', 'logistic', 'unsupervised', 'linear', 'finetune',
             'transfer', 'semi', 'parts')
# Run by tools/test.py; the others by tools/train.py.
FROZEN = PROTOCOLS[:3]
_SMALL = dict(
    knn='knn/ibot_vit-small-p16_knn_in1k.py',
    logistic='logistic/ibot_vit-small-p16_logistic_in1k.py',
    unsupervised='unsupervised/'
    'ibot_vit-small-p16-1000protos_unsupervised_in1k.py',
    linear='linear/ibot_vit-small-p16_linear-8xb128-100e_in1k.py',
    finetune='finetune/ibot_vit-small-p16_finetune-8xb128-200e_in1k.py',
    transfer='transfer/ibot_vit-small-p16_finetune-8xb96-360e_inat18.py',
    semi='semi/ibot_vit-small-p16_finetune-8xb128-1000e_in1k-1pct.py')
_PARTS = ('benchmarks/robustness/'
          'ibot_vit-small-p16_part-linear-8xb128-100e_in1k.py')
# By width of the network, where the recipe differs from ViT-S/16's.
_LARGER = {
    768: dict(
        linear='linear/ibot_vit-base-p16_linear-8xb128-100e_in1k.py',
        finetune='finetune/ibot_vit-base-p16_finetune-8xb128-100e_in1k.py',
        transfer='transfer/ibot_vit-base-p16_finetune-8xb96-360e_inat18.py'),
    1024: dict(
        linear='linear/ibot_vit-large-p16_linear-8xb128-100e_in1k.py',
        finetune='finetune/'
        'ibot_vit-large-p16_finetune-8xb64-acc2-50e_in1k.py')
}


def recipe_file(protocol: str, pretraining: Config) -> str:
    """Published config of a protocol for a network of this size.

    Args:
        protocol: One of ``PROTOCOLS``.
        pretraining: Config of the pre-training.

    Raises:
        ValueError: The protocol is not available for Swin.
    """
    if pretraining.model.backbone.type.endswith('Swin'):
        if protocol in ('finetune', 'transfer', 'semi', 'parts'):
            raise ValueError(f'the protocol "{protocol}" is for ViT '
                             'backbones: the paper publishes none for Swin.')
        return f'{_FOLDER}/{_SMALL[protocol]}'
    if protocol == 'parts':
        return _PARTS
    width = pretraining.model.neck.in_channels
    name = _LARGER.get(width, {}).get(protocol, _SMALL[protocol])
    return f'{_FOLDER}/{name}'


def _backbone(pretraining: Config) -> dict[str, Any]:
    """Backbone of the pre-training without settings of the student."""
    backbone = deepcopy(pretraining.model.backbone.to_dict())
    for key in ('with_mask_token', 'drop_path_rate', 'drop_path_type',
                'init_cfg'):
        backbone.pop(key, None)
    return backbone


def use_model(cfg: Config, pretraining: Config, num_classes: int) -> None:
    """Replace ViT-S/16 with the pre-trained model.

    Args:
        cfg: Config of a protocol, changed in place.
        pretraining: Config of the pre-training.
        num_classes: Number of classes, for models with classifiers.
    """
    model, source = cfg.model, pretraining.model
    for key in ('mean', 'std', 'to_rgb'):
        if key in source.data_preprocessor:
            model.data_preprocessor[key] = source.data_preprocessor[key]
    width = source.neck.in_channels
    own = {
        key: model.backbone[key]
        for key in ('init_cfg', 'drop_path_rate', 'out_type')
        if key in model.backbone
    }
    model.backbone = dict(_backbone(pretraining), **own)
    if 'neck' in model and model.neck is not None:
        if model.neck.type == 'ibot_mm.IBOTNeck':
            model.neck = source.neck.to_dict()
        else:
            model.neck.update(in_channels=width,
                              hidden_channels=source.neck.get(
                                  'hidden_channels', 2048))
    elif 'head' in model:
        model.head.in_channels = width
    if 'head' in model:
        if model.get('neck') is not None:
            model.head.in_channels = model.neck.hidden_channels
        model.head.num_classes = num_classes
        model.data_preprocessor.num_classes = num_classes
    if model.type == 'ibot_mm.LinearProbe':
        model.num_classes = num_classes
    if 'num_parts' in model:  # the same share of the image
        count = (image_size(pretraining) // source.backbone.patch_size)**2
        model.num_parts = max(round(model.num_parts * count / 196), 1)


def image_size(pretraining: Config) -> int:
    """Side of the images of a pre-training, in pixels."""
    return pretraining.model.backbone.get('img_size', 224)


def _test_pipeline(cfg: Config, pretraining: Config) -> list[dict]:
    """Validation transforms of the pre-training, interpolation of the recipe.

    Without validation in the pre-training, the recipe's transforms are used
    at the size of the pre-training.
    """
    own = deepcopy(cfg.test_dataloader.dataset.pipeline)
    interpolation = own[1].interpolation
    val = pretraining.get('val_dataloader')
    if val:
        pipeline = deepcopy(val.dataset.pipeline)
    else:
        size, pipeline = image_size(pretraining), own
        pipeline[0] = deepcopy(
            pretraining.train_dataloader.dataset.pipeline[0])
        pipeline[1].scale, pipeline[2].crop_size = size * 256 // 224, size
    for step in pipeline:
        if 'interpolation' in step:
            step.interpolation = interpolation
    return pipeline


def data_sets(data_root: str,
              subset: str = '',
              lists: Sequence[str] | None = None) -> tuple[dict, dict]:
    """Settings of the data sets for training and for validation.

    Args:
        data_root: Folder of the images.
        subset: List file of the training images to use.
        lists: List files of both sets, whose classes are the folders in
            ``data_root``; None for its folders train/ and val/.
    """
    if lists:
        train, val = (dict(ann_file=path, classes_prefix='')
                      for path in lists)
    else:
        train = dict(data_prefix='train')
        val = dict(data_prefix='val', classes_prefix='train')
    common = dict(type='ibot_mm.LabeledDataset', data_root=data_root)
    return dict(common, **train, subset=subset), dict(common, **val)


def _use_data(cfg: Config, pretraining: Config, train: dict, val: dict,
              workers: int) -> None:
    """Train and test on these data sets, at the model's size."""
    test_pipeline = _test_pipeline(cfg, pretraining)
    val = dict(val, pipeline=test_pipeline)
    loaders = {'test_dataloader': val}
    if cfg.get('train_dataloader'):
        pipeline = deepcopy(cfg.train_dataloader.dataset.pipeline)
        pipeline[0] = test_pipeline[0]  # image loading
        pipeline[1].scale = image_size(pretraining)
        loaders['train_dataloader'] = dict(train, pipeline=pipeline)
        loaders['val_dataloader'] = val
    for name, dataset in loaders.items():
        cfg[name].dataset = dataset
    found = [cfg[name] for name in loaders]
    if 'bank_dataloader' in cfg.test_cfg:
        cfg.test_cfg.bank_dataloader.dataset = dict(
            train, pipeline=test_pipeline)
        found.append(cfg.test_cfg.bank_dataloader)
    use_workers(found, workers)


def use_workers(loaders: Sequence[Config], workers: int) -> None:
    """Set the number of DataLoader workers per process."""
    for loader in loaders:
        loader.num_workers = workers
        if not workers:
            loader.persistent_workers = False


def protocol_config(protocol: str,
                    pretraining: Config,
                    data_root: str,
                    num_classes: int,
                    num_train: int,
                    subset: str = '',
                    processes: int = 1,
                    batch_size: int | None = None,
                    epochs: int | None = None,
                    workers: int = 2,
                    cache_dir: str | None = None,
                    lists: Sequence[str] | None = None,
                    log: Callable[[str], None] = print) -> Config:
    """Config of a protocol for a model and a folder of labeled images.

    Starts from the published config for networks of this width (ViT-S/16's if
    there is none) and replaces only the model, sizes, classes and data, unless
    other settings are passed. Run it with --auto-scale-lr to scale the
    learning rate with the batch size.

    Args:
        protocol: One of ``PROTOCOLS``.
        pretraining: Config of the pre-training: its backbone, neck,
            normalization and validation transforms are used.
        data_root: Folder with ``train/`` and ``val/``, class folders in each,
            or the folder of ``lists``.
        num_classes: Number of classes.
        num_train: Number of training images, in the subset if there is one.
        subset: List file of the training images to use.
        processes: Number of processes.
        batch_size: Images per process; the recipe's if None.
        epochs: Number of training epochs; the recipe's if None. The warm-up
            scales in proportion.
        workers: DataLoader workers per process.
        cache_dir: Folder for frozen features.
        lists: See :func:`data_sets`.
        log: Called with messages about the recipe and adjusted settings.

    Raises:
        ValueError: The protocol is incompatible with the model or the data.
    """
    file = recipe_file(protocol, pretraining)
    if protocol == 'semi' and not subset:
        raise ValueError('the protocol "semi" needs --subset, the list file '
                         'of the labeled training images.')
    cfg = Config.fromfile(config_path(file))
    log(f'{protocol}: {file}')
    use_model(cfg, pretraining, num_classes)
    _use_data(cfg, pretraining, *data_sets(data_root, subset, lists), workers)
    if protocol in FROZEN:
        cfg.test_cfg.cache_dir = cache_dir
        if batch_size:
            cfg.test_dataloader.batch_size = batch_size
            if 'bank_dataloader' in cfg.test_cfg:
                cfg.test_cfg.bank_dataloader.batch_size = batch_size
        if protocol == 'knn':
            _limit_neighbors(cfg, num_train, log)
        return cfg
    if batch_size:
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            cfg[name].batch_size = batch_size
    total = cfg.train_dataloader.batch_size * processes
    if total > num_train:
        raise ValueError(
            f'{num_train} training images are fewer than a batch of '
            f'{cfg.train_dataloader.batch_size} x {processes} processes: '
            'lower --batch-size.')
    for name in ('val_evaluator', 'test_evaluator'):
        if num_classes < 5 and 'topk' in cfg[name]:
            cfg[name].topk = (1, )
    if epochs:
        _set_epochs(cfg, epochs)
    if 'dtype' in cfg.optim_wrapper and not torch.cuda.is_available():
        cfg.optim_wrapper.dtype = 'float32'  # few CPUs support bfloat16
    return cfg


def _limit_neighbors(cfg: Config, num_train: int,
                     log: Callable[[str], None]) -> None:
    """Remove values of k that exceed the size of the bank."""
    wanted: Sequence[int] = cfg.test_cfg.protocol.k
    possible = [k for k in wanted if k <= num_train] or [num_train]
    if possible != list(wanted):
        log(f'k-NN: k = {possible}, because there are {num_train} training '
            'images')
    cfg.test_cfg.protocol.k = possible


def _set_epochs(cfg: Config, epochs: int) -> None:
    """Set the number of epochs and scale warm-ups, rounded up."""
    ratio = epochs / cfg.train_cfg.max_epochs
    for scheduler in cfg.param_scheduler:
        if 'warmup' in scheduler:
            scheduler.warmup = math.ceil(scheduler.warmup * ratio)
    cfg.train_cfg.max_epochs = epochs
    cfg.train_cfg.val_interval = min(cfg.train_cfg.val_interval, epochs)
