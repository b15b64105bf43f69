# For patches of 14 pixels, which divide 224 (16 x 16 patches) but not 96:
# local crops have 98 (7 x 7).
_base_ = 'imagenet_multicrop_scale0.32.py'

multi_crop = dict(
    _base_.multi_crop,
    local_crops=[dict(num=10, size=98, scale=(0.05, 0.32), blur_prob=0.5)])
masks = dict(_base_.masks, patch_size=14)
train_pipeline = [_base_.load_image, multi_crop, masks]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
