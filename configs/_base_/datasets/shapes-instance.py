# The shapes data set for MMDetection, in its own sizes.
_base_ = ['shapes.py', 'mmdet::_base_/datasets/coco_instance.py']

data_root = 'data/shapes/coco/'
dataset = dict(
    data_root=data_root, metainfo=dict(classes=_base_.metainfo.classes))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomChoiceResize',
        scales=[(160, 80), (160, 96), (160, 112)],
        keep_ratio=True),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(160, 96), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor')),
]
train_dataloader = dict(
    batch_size=8, dataset=dict(**dataset, pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=8, dataset=dict(**dataset, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    ann_file=f'{data_root}annotations/instances_val2017.json')
test_evaluator = val_evaluator
