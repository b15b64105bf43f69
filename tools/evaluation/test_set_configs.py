"""Configs of the protocols that have test sets of their own."""

from copy import deepcopy
from pathlib import Path
from typing import Any

from evaluation.protocol_configs import image_size, use_model, use_workers
from mmengine.config import Config

from ibot_mm.paths import config_path

# Of the classifier that the protocol `linear` trains.
CLASSIFIER = {
    'occlusion': 'robustness/'
    'ibot_vit-small-p16_occlusion-shuffle_in1k.py',
    'imagenet-9': 'robustness/ibot_vit-small-p16_imagenet-9.py',
    'imagenet-a': 'robustness/ibot_vit-small-p16_imagenet-a.py',
    'imagenet-r': 'robustness/ibot_vit-small-p16_imagenet-r.py',
    'imagenet-v2': 'robustness/ibot_vit-small-p16_imagenet-v2.py',
    'imagenet-c': 'robustness/ibot_vit-small-p16_imagenet-c.py',
}
# Of the frozen backbone.
BACKBONE = {
    'roxford5k': 'retrieval/ibot_vit-small-p16_roxford5k.py',
    'rparis6k': 'retrieval/ibot_vit-small-p16_rparis6k.py',
    'copydays': 'retrieval/ibot_vit-small-p16_copydays.py',
    'davis2017': 'video/ibot_vit-small-p16_davis2017.py',
}
TEST_SETS = {**CLASSIFIER, **BACKBONE}


def _labeled_pipeline(own: list[dict], pretraining: Config) -> list[dict]:
    """Transforms of a classifier's test images.

    Those of the config for networks of 224 pixels, those of the pre-training's
    validation, if it has one, for others.
    """
    size, load = image_size(pretraining), deepcopy(
        pretraining.train_dataloader.dataset.pipeline[0])
    if size == 224:
        return [load, *own[1:]]
    val = pretraining.get('val_dataloader')
    if val:
        return deepcopy(val.dataset.pipeline)
    return [
        load,
        dict(type='ResizeEdge', scale=size * 256 // 224, edge='short',
             backend='pillow', interpolation='bilinear'),
        dict(type='CenterCrop', crop_size=size), own[-1]
    ]


def _use_classifier_data(protocol: str, cfg: Config, pretraining: Config,
                         folder: str | None, labeled: dict[str, Any]) -> None:
    """Test on a folder, with the classes of the training images."""
    dataset = cfg.test_dataloader.dataset
    pipeline = _labeled_pipeline(dataset.pipeline, pretraining)
    if protocol == 'occlusion':
        cfg.test_dataloader.dataset = dict(labeled, pipeline=pipeline)
        size = image_size(pretraining)
        if size != 224:
            patches = size // pretraining.model.backbone.get('patch_size', 16)
            cfg.test_cfg.drop_grid = (patches, patches)
            cfg.test_cfg.grids = [
                grid for grid in cfg.test_cfg.grids if max(grid) < patches
            ] + [(patches, patches)]
        if pretraining.model.backbone.type.endswith('Swin'):
            cfg.test_cfg.masses = []  # no CLS token, no attention of it
        return
    dataset.update(data_root=folder, pipeline=pipeline)


def _use_backbone_data(cfg: Config, pretraining: Config, folder: str) -> None:
    """Test the backbone on a folder."""
    load = deepcopy(pretraining.train_dataloader.dataset.pipeline[0])
    loaders = [cfg.test_dataloader]
    if 'bank_dataloader' in cfg.test_cfg:
        loaders.append(cfg.test_cfg.bank_dataloader)
    truth = sorted(Path(folder).glob('gnd_*.pkl'))
    for loader in loaders:
        loader.dataset.data_root = folder
        loader.dataset.pipeline[0] = load
        if 'ann_file' in loader.dataset and len(truth) == 1:
            loader.dataset.ann_file = truth[0].name
    protocol = cfg.test_cfg.protocol
    if 'data_root' in protocol:
        protocol.data_root = folder
    if 'ann_file' in protocol:
        protocol.ann_file = str(
            Path(folder, loaders[0].dataset.ann_file))


def test_set_config(protocol: str, pretraining: Config, folder: str | None,
                    labeled: dict[str, Any], classes_from: str,
                    batch_size: int | None, workers: int,
                    cache_dir: str | None) -> Config:
    """Config of a protocol with a test set of its own.

    Starts from the published config for ViT-S/16. That of a classifier still
    lacks its ``model``.

    Args:
        protocol: One of ``TEST_SETS``.
        pretraining: Config of the pre-training.
        folder: Of the test set; None for 'occlusion', which takes the
            validation images.
        labeled: Settings of the data set of the validation images.
        classes_from: Where the names of the classes are, see
            :func:`ibot_mm.datasets.variants.class_folders`.
        batch_size: Images per process; the recipe's if None. Where sizes of
            images differ, it is 1.
        workers: DataLoader workers per process.
        cache_dir: Folder for frozen features.
    """
    cfg = Config.fromfile(config_path(f'benchmarks/{TEST_SETS[protocol]}'))
    if protocol in CLASSIFIER:
        _use_classifier_data(protocol, cfg, pretraining, folder, labeled)
        if cfg.test_dataloader.dataset.get('classes_from'):
            cfg.test_dataloader.dataset.classes_from = classes_from
    else:
        own = deepcopy(cfg.model.data_preprocessor)
        use_model(cfg, pretraining, 0)
        mean = pretraining.model.data_preprocessor.get('mean')
        if mean is None or list(mean) == list(own.mean):
            # DAVIS has a deviation of its own.
            cfg.model.data_preprocessor = own
        _use_backbone_data(cfg, pretraining, folder)
        if 'cache_dir' in cfg.test_cfg:
            cfg.test_cfg.cache_dir = cache_dir
    loaders = [cfg.test_dataloader]
    if 'bank_dataloader' in cfg.test_cfg:
        loaders.append(cfg.test_cfg.bank_dataloader)
    for loader in loaders:
        if batch_size and loader.batch_size > 1:
            loader.batch_size = batch_size
    use_workers(loaders, workers)
    return cfg
