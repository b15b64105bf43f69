# What segmentors of the shapes data set change in those of ADE20K, as
# variables (`_base_.shapes_<name>`): the quickstart's network with patches of
# 8, small images and a short schedule.
_base_ = 'shapes.py'

shapes_backbone = dict(out_indices=(0, 1, 2, 3))

shapes_train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(
        type='RandomResize',
        scale=(192, 96),
        ratio_range=(0.75, 1.5),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=(96, 96), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
shapes_test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(192, 96), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
shapes_dataset = dict(
    type='BaseSegDataset',
    data_root='data/shapes/ade20k',
    img_suffix='.jpg',
    seg_map_suffix='.png',
    reduce_zero_label=True,
    metainfo=dict(
        classes=_base_.shapes_classes,
        palette=[[230, 25, 75], [60, 180, 75], [255, 225, 25], [0, 130, 200],
                 [245, 130, 48], [145, 30, 180], [70, 240, 240],
                 [240, 50, 230], [210, 245, 60], [250, 190, 212],
                 [0, 128, 128], [170, 110, 40]]))
shapes_train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    dataset=dict(**shapes_dataset, pipeline=shapes_train_pipeline))
shapes_val_dataloader = dict(
    dataset=dict(**shapes_dataset, pipeline=shapes_test_pipeline))
shapes_param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=100),
    dict(
        type='PolyLR',
        power=1.0,
        eta_min=0.0,
        begin=100,
        end=1500,
        by_epoch=False),
]
