# ImageNet-1K for the linear protocol: random resized crops (bilinear) and
# flips for training; test images are resized to 256 (bicubic) and
# center-cropped to 224.
data_root = 'data/imagenet/'

train_pipeline = [
    dict(type='ibot_mm.LoadImage'),
    dict(
        type='RandomResizedCrop',
        scale=224,
        crop_ratio_range=(0.08, 1.0),
        backend='pillow',
        interpolation='bilinear'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=128,
    num_workers=10,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='ibot_mm.LabeledDataset',
        data_root=data_root,
        data_prefix='train',
        num_classes=1000,
        pipeline=train_pipeline))

test_pipeline = [
    dict(type='ibot_mm.LoadImage'),
    dict(
        type='ResizeEdge',
        scale=256,
        edge='short',
        backend='pillow',
        interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
val_dataloader = dict(
    batch_size=128,
    num_workers=10,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='ibot_mm.LabeledDataset',
        data_root=data_root,
        data_prefix='val',
        classes_prefix='train',
        num_classes=1000,
        pipeline=test_pipeline))
val_evaluator = dict(type='ibot_mm.LinearProbeMetric')
val_cfg = dict()
test_dataloader = val_dataloader
test_evaluator = val_evaluator
test_cfg = dict()
