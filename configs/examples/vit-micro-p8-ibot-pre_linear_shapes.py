# Launch: python tools/train.py \
#     configs/examples/vit-micro-p8-ibot-pre_linear_shapes.py \
#     --pretrained work_dirs/quickstart_seed0/epoch_20.pth
#
# An example that a CPU trains: the network of the quickstart on the shapes
# data set. Needs tools/quickstart.sh first, which makes both.
# Schedule: 1 process x batch 16 x accumulation 1 = 16 images per step;
# lr 1e-2, warm-up 100 iterations, linear to 0 after 1,500 iterations.
# Results: docs/dense_tasks.md.
_base_ = [
    '../benchmarks/segmentation/vit-small-p16-ibot-pre_linear_4xb4-amp-160k_ade20k-512x512.py',
    '../_base_/shapes_segmentation.py',
]

model = dict(
    data_preprocessor=dict(size=(96, 96)),
    backbone=dict(_base_.shapes_backbone, frozen_stages=4),
    decode_head=dict(
        in_channels=[96, 96, 96, 96], channels=384, num_classes=12),
    test_cfg=dict(crop_size=(96, 96), stride=(64, 64)))
train_dataloader = _base_.shapes_train_dataloader
val_dataloader = _base_.shapes_val_dataloader
test_dataloader = val_dataloader

optim_wrapper = dict(
    paramwise_cfg=dict(layer_decay_rate=1.0),
    optimizer=dict(lr=1e-2),
    dtype='float32')
param_scheduler = _base_.shapes_param_scheduler
train_cfg = dict(max_iters=1500, val_interval=500)
default_hooks = dict(checkpoint=dict(interval=500))
