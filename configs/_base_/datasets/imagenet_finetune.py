# ImageNet-1K for fine-tuning: RandAugment m9-mstd0.5-inc1 and random erasing
# with noise, as in timm's training transforms. The official code also sets
# color jitter 0.4, which timm ignores with RandAugment. Test images are
# resized to 256 (bilinear) and center-cropped to 224.
_base_ = 'imagenet_linear.py'

bgr_mean = [103.53, 116.28, 123.675]
bgr_std = [57.375, 57.12, 58.395]

train_pipeline = [
    dict(type='ibot_mm.LoadImage'),
    dict(
        type='RandomResizedCrop',
        scale=224,
        crop_ratio_range=(0.08, 1.0),
        backend='pillow',
        interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(
        type='RandAugment',
        policies='timm_increasing',
        num_policies=2,
        total_level=10,
        magnitude_level=9,
        magnitude_std=0.5,
        hparams=dict(pad_val=[104, 116, 124], interpolation='bicubic')),
    dict(
        type='RandomErasing',
        erase_prob=0.25,
        mode='rand',
        min_area_ratio=0.02,
        max_area_ratio=1 / 3,
        fill_color=bgr_mean,
        fill_std=bgr_std),
    dict(type='PackInputs'),
]
_base_.test_pipeline[1].interpolation = 'bilinear'

train_dataloader = dict(
    drop_last=True, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=192, dataset=dict(pipeline=_base_.test_pipeline))
val_evaluator = dict(
    _delete_=True, type='mmpretrain.Accuracy', topk=(1, 5))
test_dataloader = val_dataloader
test_evaluator = val_evaluator
