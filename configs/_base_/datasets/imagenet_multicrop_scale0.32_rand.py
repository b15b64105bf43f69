# Random instead of block masks, their ratio drawn from {0, U(0.65, 0.75)}: the
# range that the release's README had before it dropped the numbers, and the
# one in copies of its arguments.
_base_ = 'imagenet_multicrop_scale0.32.py'

masks = dict(
    type='ibot_mm.MaskGlobalCrops',
    patch_size=16,
    generator=dict(
        type='ibot_mm.RandomMaskGenerator',
        ratio=[0, 0.7],
        ratio_var=[0, 0.05]))
train_pipeline = [_base_.load_image, _base_.multi_crop, masks]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
