# Without local crops: two global crops of scale (0.14, 1), and a mask of ratio
# U(0.1, 0.5) on each.
_base_ = 'imagenet_multicrop_scale0.25.py'

multi_crop = dict(
    type='ibot_mm.MultiCrop',
    global_crops=[
        dict(size=224, scale=(0.14, 1.0), blur_prob=1.0),
        dict(size=224, scale=(0.14, 1.0), blur_prob=0.1, solarize_prob=0.2),
    ],
    local_crops=[])
masks = dict(
    type='ibot_mm.MaskGlobalCrops',
    patch_size=16,
    generator=dict(
        type='ibot_mm.BlockMaskGenerator', ratio=0.3, ratio_var=0.2))
train_pipeline = [_base_.load_image, multi_crop, masks]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
