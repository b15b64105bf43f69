# python tools/train.py configs/examples/vit-micro-p8-ibot-pre_linear_shapes.py --pretrained work_dirs/quickstart_seed0/epoch_20.pth
#
# 16 images per step; lr 1e-2 for the linear head; warm-up 100 iterations, linear to 0 after 1,500.
#
# For a CPU: the network of the quickstart on the shapes data set, both from
# tools/quickstart.sh.
_base_ = [
    '../_base_/models/linear-seg_vit-small-p16.py',
    '../_base_/datasets/shapes-semantic.py',
    '../_base_/schedules/shapes-segmentation_1500.py',
]

model = dict(
    data_preprocessor=dict(size=(96, 96)),
    # The position embedding stays that of 48 pixels; forward resizes it.
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=96,
            num_layers=4,
            num_heads=3,
            feedforward_channels=384),
        img_size=48,
        patch_size=8,
        out_indices=(0, 1, 2, 3),
        out_with_norm=True,
        frozen_stages=4),
    decode_head=dict(
        in_channels=[96, 96, 96, 96], channels=384, num_classes=12),
    test_cfg=dict(crop_size=(96, 96), stride=(64, 64)))
optim_wrapper = dict(
    paramwise_cfg=dict(layer_decay_rate=1.0), optimizer=dict(lr=1e-2))
