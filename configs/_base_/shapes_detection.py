# What detectors of the shapes data set change in those of COCO, as variables
# (`_base_.shapes_<name>`): the quickstart's network with patches of 8, so that
# all strides are half, narrower heads, small images and a short schedule.
_base_ = 'shapes.py'

shapes_root = 'data/shapes/coco/'

shapes_backbone = dict(out_indices=(1, 2, 3), with_cp=False)
shapes_neck = [
    dict(type='ibot_mm.ViTPyramid', in_channels=96, scales=(2, 1, 0.5)),
    dict(type='FPN', in_channels=[96, 96, 96], out_channels=64, num_outs=4),
]
shapes_rpn_head = dict(
    in_channels=64,
    feat_channels=64,
    anchor_generator=dict(scales=[4], strides=[4, 8, 16, 32]))
shapes_roi_extractor = dict(out_channels=64, featmap_strides=[4, 8, 16])
shapes_mask_head = dict(
    num_convs=2, in_channels=64, conv_out_channels=64, num_classes=12)

shapes_train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomChoiceResize',
        scales=[(160, 80), (160, 96), (160, 112)],
        keep_ratio=True),
    dict(type='PackDetInputs'),
]
shapes_test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(160, 96), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor')),
]
shapes_dataset = dict(
    data_root=shapes_root, metainfo=dict(classes=_base_.shapes_classes))
shapes_train_dataloader = dict(
    batch_size=8,
    dataset=dict(**shapes_dataset, pipeline=shapes_train_pipeline))
shapes_val_dataloader = dict(
    batch_size=8,
    dataset=dict(**shapes_dataset, pipeline=shapes_test_pipeline))
shapes_evaluator = dict(
    ann_file=f'{shapes_root}annotations/instances_val2017.json')

shapes_proposals = dict(nms_pre=500, max_per_img=300)
shapes_optim_wrapper = dict(
    paramwise_cfg=dict(layer_decay_rate=0.8),
    optimizer=dict(lr=1e-3),
    dtype='float32')
shapes_param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=100),
    dict(
        type='MultiStepLR',
        begin=0,
        end=4,
        by_epoch=True,
        milestones=[3],
        gamma=0.1),
]
