# ImageNet-1K for the linear protocol: random resized crops (bilinear) and
# flips for training.
_base_ = 'imagenet_center-crop.py'

random_crop = dict(
    type='RandomResizedCrop',
    scale=224,
    crop_ratio_range=(0.08, 1.0),
    backend='pillow',
    interpolation='bilinear')
flip = dict(type='RandomFlip', prob=0.5, direction='horizontal')
train_pipeline = [_base_.load_image, random_crop, flip, _base_.pack_inputs]
train_dataloader = dict(
    batch_size=128,
    num_workers=10,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='ibot_mm.LabeledDataset',
        data_root=_base_.data_root,
        data_prefix='train',
        pipeline=train_pipeline))

val_dataloader = dict(
    batch_size=128,
    num_workers=10,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='ibot_mm.LabeledDataset',
        data_root=_base_.data_root,
        data_prefix='val',
        classes_prefix='train',
        pipeline=_base_.test_pipeline))
val_evaluator = dict(type='ibot_mm.LinearProbeMetric')
val_cfg = dict()
test_dataloader = val_dataloader
test_evaluator = val_evaluator
test_cfg = dict()
