# Global and local crops split at the scale 0.32 (paper, appendix B).
_base_ = 'imagenet_multicrop_scale0.25.py'

multi_crop = dict(
    type='ibot_mm.MultiCrop',
    global_crops=[
        dict(size=224, scale=(0.32, 1.0), blur_prob=1.0),
        dict(size=224, scale=(0.32, 1.0), blur_prob=0.1, solarize_prob=0.2),
    ],
    local_crops=[dict(num=10, size=96, scale=(0.05, 0.32), blur_prob=0.5)])
train_pipeline = [_base_.load_image, multi_crop, _base_.masks]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
