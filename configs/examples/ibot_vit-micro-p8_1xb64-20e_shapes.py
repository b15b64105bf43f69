# python tools/train.py configs/examples/ibot_vit-micro-p8_1xb64-20e_shapes.py
# (or tools/quickstart.sh for all steps)
#
# 1 process x batch 64 = 64 images per step; lr = 1e-3, four times the linear
# rule (5e-4 x 64 / 256), because the run is short; warm-up 2 epochs, cosine to
# 5e-4. The shapes data set: 2400 // 64 = 37 steps per epoch, 740 in all.
#
# A small network, small images and few prototypes need sharper temperatures
# and a teacher that follows faster until the end (a momentum of 1 would freeze
# it in the last quarter); otherwise the distributions stay uniform for the
# run. Little grayscale and blur, because images of 48 pixels mostly show color
# and texture. docs/quickstart.md has the results of three seeds.
_base_ = '../ibot/ibot_vit-small-p16_16xb64-multicrop-800e_in1k.py'

data_root = 'data/shapes/imagenet/'

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=96,
            num_layers=4,
            num_heads=3,
            feedforward_channels=384),
        img_size=48,
        patch_size=8,
        drop_path_rate=0.),
    neck=dict(
        in_channels=96,
        hidden_channels=256,
        bottleneck_channels=64,
        num_prototypes=256,
        norm_last_layer=True),
    head=dict(num_prototypes=256))

color = dict(
    jitter=(0.5, 0.5, 0.25, 0.06), gray_prob=0.05, blur_sigma=(0.1, 0.6))
global_crop = dict(size=48, scale=(0.4, 1.0), **color)
multi_crop = dict(
    type='ibot_mm.MultiCrop',
    global_crops=[
        dict(**global_crop, blur_prob=0.5),
        dict(**global_crop, blur_prob=0.1, solarize_prob=0.2),
    ],
    local_crops=[
        dict(num=4, size=24, scale=(0.15, 0.4), blur_prob=0.2, **color)])
masks = dict(_base_.masks, patch_size=8)
train_pipeline = [_base_.load_image, multi_crop, masks]
train_dataloader = dict(
    num_workers=1,
    pin_memory=False,
    dataset=dict(data_root=data_root, pipeline=train_pipeline))

resize_square = dict(
    type='Resize',
    scale=(48, 48),
    backend='pillow',
    interpolation='bicubic')
test_pipeline = [_base_.load_image, resize_square, _base_.pack_inputs]
val_dataloader = dict(
    batch_size=100,
    num_workers=1,
    dataset=dict(data_root=data_root, pipeline=test_pipeline))
val_cfg = dict(
    bank_dataloader=dict(
        batch_size=100,
        num_workers=1,
        dataset=dict(data_root=data_root, pipeline=test_pipeline)),
    k=[20, 10])

optim_wrapper = dict(optimizer=dict(lr=1e-3), dtype='float32')
auto_scale_lr = dict(base_batch_size=64)
param_scheduler = [
    dict(_base_.lr_schedule, eta_min=5e-4, warmup=2),
    dict(_base_.weight_decay_schedule, eta_end=0.1)]
default_hooks = dict(
    runtime_info=dict(interval=37),
    logger=dict(interval=37),
    training_health=dict(interval=37),
    checkpoint=dict(interval=4),
    teacher_ema=dict(momentum=0.98, end_momentum=0.99),
    teacher_temperature=dict(
        warmup_teacher_temp=0.02,
        teacher_temp=0.025,
        warmup_teacher_patch_temp=0.03,
        teacher_patch_temp=0.03,
        warmup_epochs=15))
train_cfg = dict(max_epochs=20, val_interval=4)
