# python tools/train.py configs/examples/vit-micro-p8-ibot-pre_upernet_shapes.py --pretrained work_dirs/quickstart_seed0/epoch_20.pth
#
# 16 images per step; lr 1e-3 for neck and heads, x 0.8 per layer of the
# backbone; warm-up 100 iterations, linear to 0 after 1,500.
#
# For a CPU: the network of the quickstart on the shapes data set, both from
# tools/quickstart.sh.
_base_ = [
    '../_base_/models/upernet_vit-base-p16.py',
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
        drop_path_rate=0.,
        out_indices=(1, 2, 3)),
    # MMSegmentation's Feature2Pyramid does not support these three scales.
    neck=dict(
        _delete_=True,
        type='ibot_mm.ViTPyramid',
        in_channels=96,
        scales=(2, 1, 0.5)),
    decode_head=dict(
        in_channels=[96, 96, 96],
        in_index=[0, 1, 2],
        channels=64,
        num_classes=12),
    auxiliary_head=dict(
        in_channels=96, in_index=1, channels=64, num_classes=12),
    test_cfg=dict(crop_size=(96, 96), stride=(64, 64)))
