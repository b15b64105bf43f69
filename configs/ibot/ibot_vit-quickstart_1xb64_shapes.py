_base_ = 'ibot_vit-small-p16_16xb64-multicrop-800e_in1k.py'

data_root = 'data/shapes/imagenet/'
epochs = 10

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=96,
            num_layers=4,
            num_heads=3,
            feedforward_channels=384),
        img_size=64,
        patch_size=8,
        drop_path_rate=0.),
    neck=dict(
        in_channels=96,
        hidden_channels=256,
        bottleneck_channels=64,
        num_prototypes=256),
    head=dict(num_prototypes=256))

global_crop = dict(size=64, scale=(0.32, 1.0), blur_sigma=(0.1, 0.8))
train_pipeline = [
    dict(type='ibot_mm.LoadImage'),
    dict(
        type='ibot_mm.MultiCrop',
        global_crops=[
            dict(**global_crop, blur_prob=0.5),
            dict(**global_crop, blur_prob=0.1, solarize_prob=0.2),
        ],
        local_crops=[
            dict(
                num=4,
                size=32,
                scale=(0.08, 0.32),
                blur_prob=0.2,
                blur_sigma=(0.1, 0.5))
        ]),
    dict(
        type='ibot_mm.MaskGlobalCrops',
        patch_size=8,
        generator=dict(
            type='ibot_mm.BlockMaskGenerator',
            ratio=[0, 0.3],
            ratio_var=[0, 0.2])),
]
train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_pipeline = [
    dict(type='ibot_mm.LoadImage'),
    dict(type='Resize', scale=(64, 64), backend='pillow', interpolation='bicubic'),
    dict(type='PackInputs'),
]
val_dataloader = dict(
    batch_size=100,
    num_workers=1,
    dataset=dict(data_root=data_root, pipeline=val_pipeline))
val_cfg = dict(
    bank_dataloader=dict(
        batch_size=100,
        num_workers=1,
        dataset=dict(data_root=data_root, pipeline=val_pipeline)),
    k=[20, 10])

optim_wrapper = dict(optimizer=dict(lr=2e-3), dtype='float32')
param_scheduler = [
    dict(
        type='ibot_mm.WarmupCosineLR',
        eta_min=1e-5,
        warmup=1,
        by_epoch=True,
        convert_to_iter_based=True),
    dict(
        type='ibot_mm.CosineWeightDecay',
        eta_end=0.4,
        by_epoch=True,
        convert_to_iter_based=True),
]
default_hooks = dict(
    runtime_info=dict(interval=25),
    logger=dict(interval=25),
    teacher_ema=dict(momentum=0.99),
    teacher_temperature=dict(warmup_epochs=3))
train_cfg = dict(max_epochs=epochs, val_interval=2)
