# python tools/train.py configs/examples/cascade-mask-rcnn_vit-micro-p8-ibot-pre_fpn_4conv1fc-giou_shapes.py --pretrained work_dirs/quickstart_seed0/epoch_20.pth
#
# 8 images per step; 2,400 images / 8 = 300 steps per epoch, x 4 epochs =
# 1,200. lr 1e-3 for neck and heads, x 0.8 per layer of the backbone; warm-up
# 100 steps, lr x 0.1 after epoch 3.
#
# For a CPU: the network of the quickstart on the shapes data set, both from
# tools/quickstart.sh. Patches of 8 halve all strides, the heads are narrower.
_base_ = [
    '../_base_/models/cascade-mask-rcnn_vit-small-p16.py',
    '../_base_/datasets/shapes-instance.py',
    '../_base_/schedules/shapes-detection_4e.py',
]

model = dict(
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
        out_indices=(1, 2, 3),
        with_cp=False),
    neck=[
        dict(type='ibot_mm.ViTPyramid', in_channels=96, scales=(2, 1, 0.5)),
        dict(type='FPN', in_channels=[96, 96, 96], out_channels=64, num_outs=4),
    ],
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(scales=[4], strides=[4, 8, 16, 32])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64, featmap_strides=[4, 8, 16]),
        # A list cannot be inherited in part.
        bbox_head=[
            dict(
                head,
                in_channels=64,
                conv_out_channels=64,
                fc_out_channels=256,
                num_classes=12) for head in _base_.model.roi_head.bbox_head
        ],
        mask_roi_extractor=dict(out_channels=64, featmap_strides=[4, 8, 16]),
        mask_head=dict(
            num_convs=2, in_channels=64, conv_out_channels=64,
            num_classes=12)),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=300),
        rcnn=[
            dict(stage, sampler=dict(stage.sampler, num=64))
            for stage in _base_.model.train_cfg.rcnn
        ]),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=300)))
