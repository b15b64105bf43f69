"""Data and configs of the runs of gpu_report.py."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from data import make_images
from mmengine.config import Config

from ibot_mm import config_path

ROOT = Path(__file__).parents[2]
BASES = {
    'pretrain': 'ibot/ibot_vit-small-p16_1xb64-multicrop-100e_in1k.py',
    'Mask R-CNN': 'benchmarks/detection/mask-rcnn_vit-s-p16-ibot-pre_fpn_'
    'amp-ms-crop-1x_coco.py',
    'UperNet': 'benchmarks/segmentation/vit-small-p16-ibot-pre_upernet_4xb4-'
    'amp-160k_ade20k-512x512.py'
}
TINY_BASES = {
    'pretrain': 'examples/ibot_vit-micro-p8_1xb64-20e_shapes.py',
    'Mask R-CNN': 'examples/mask-rcnn_vit-micro-p8-ibot-pre_fpn_shapes.py',
    'UperNet': 'examples/vit-micro-p8-ibot-pre_upernet_shapes.py'
}
# An epoch without warm-ups, on a list of photographs.
PRETRAIN = '''
_base_ = [__import__('ibot_mm').config_path({base!r})]
train_dataloader = dict(
    batch_size={batch},
    num_workers={workers},
    dataset=dict(
        data_root={data!r}, data_prefix='', ann_file='list.txt'))
train_cfg = dict(max_epochs=1)
param_scheduler = [
    dict(_base_.lr_schedule, warmup=0), _base_.weight_decay_schedule]
default_hooks = dict(
    teacher_temperature=dict(warmup_epochs=0),
    freeze_last_layer=dict(epochs=0),
    runtime_info=dict(interval={interval}),
    data_wait=dict(interval={interval}),
    logger=dict(interval={interval}))
'''
# The shapes data set in the published sizes.
SHAPES = '''
_base_ = [__import__('ibot_mm').config_path({base!r})]
dataset = dict(data_root={data!r}, metainfo={metainfo!r})
train_dataloader = dict(
    batch_size={batch}, num_workers={workers}, dataset=dataset)
default_hooks = dict(logger=dict(interval={interval}))
'''
DETECTOR = SHAPES + '''
model = dict(
    backbone=dict(init_cfg=None),
    roi_head=dict(
        bbox_head=dict(num_classes=12), mask_head=dict(num_classes=12)))
train_cfg = dict(max_epochs=1)
'''
SEGMENTOR = SHAPES.replace(
    'data_root', "type='BaseSegDataset', img_suffix='.jpg', "
    "seg_map_suffix='.png', reduce_zero_label=True, data_root") + '''
model = dict(
    backbone=dict(init_cfg=None),
    decode_head=dict(num_classes=12),
    auxiliary_head=dict(num_classes=12))
train_cfg = dict(max_iters={iterations}, val_interval={iterations})
'''


class RunConfig(NamedTuple):
    """Config file of a run, and its batch."""

    path: Path
    batch: int


def write_photographs(folder: Path, files: int, samples: int) -> None:
    """Write JPEG files of 500 x 375 pixels and a list that repeats them."""
    if not (folder / 'list.txt').exists():
        folder.mkdir(parents=True, exist_ok=True)
        names = [path.name for path in make_images(folder, files)]
        (folder / 'list.txt').write_text(''.join(
            f'{names[i % files]}\n' for i in range(samples)))


def write_shapes(folder: Path, images: int) -> None:
    """Write the shapes data set for detection and segmentation."""
    if not folder.exists():
        subprocess.run(
            [sys.executable, ROOT / 'tools/dataset_tools/make_shapes.py',
             folder, '--train', str(images), '--val', '8', '--layouts', 'coco',
             'ade20k'], check=True)


def write_configs(scratch: Path, tiny: bool) -> dict[str, RunConfig]:
    """Write data and configs; the configs by name."""
    photos, shapes = scratch / 'photographs', scratch / 'shapes'
    batch, iterations, workers = (2, 4, 1) if tiny else (64, 300, 12)
    write_photographs(photos, 8 if tiny else 200, batch * iterations)
    dense_batch, dense_iterations = (2, 4) if tiny else (4, 100)
    write_shapes(shapes, dense_batch * dense_iterations)
    metainfo = Config.fromfile(config_path(
        '_base_/datasets/shapes.py')).metainfo.to_dict()
    written = {}
    for name, text, data, size, length in (
        ('pretrain', PRETRAIN, photos, batch, iterations),
        ('Mask R-CNN', DETECTOR, shapes / 'coco', dense_batch,
         dense_iterations),
        ('UperNet', SEGMENTOR, shapes / 'ade20k', dense_batch,
         dense_iterations)):
        path = scratch / f'{name.replace(" ", "_")}.py'
        path.write_text(text.format(
            base=(TINY_BASES if tiny else BASES)[name], batch=size,
            workers=workers, data=f'{data}/', metainfo=metainfo,
            iterations=length,
            interval=max(length // 10, 1)))
        written[name] = RunConfig(path, size)
    return written
