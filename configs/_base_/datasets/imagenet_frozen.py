# ImageNet-1K as frozen features see it: whole images, resized to 256 (bicubic)
# and cut to the central 224. Labels follow the class folders of the training
# set.
data_root = 'data/imagenet/'

test_pipeline = [
    dict(type='ibot_mm.LoadImage'),
    dict(
        type='ResizeEdge',
        scale=256,
        edge='short',
        backend='pillow',
        interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
test_dataloader = dict(
    batch_size=256,
    num_workers=10,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='ibot_mm.LabeledDataset',
        data_root=data_root,
        data_prefix='val',
        classes_prefix='train',
        pipeline=test_pipeline))
bank_dataloader = dict(
    batch_size=256,
    num_workers=10,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='ibot_mm.LabeledDataset',
        data_root=data_root,
        data_prefix='train',
        pipeline=test_pipeline))
test_evaluator = []
test_cfg = dict(
    type='ibot_mm.FeatureTestLoop',
    bank_dataloader=bank_dataloader,
    # A folder here keeps the features, for all protocols that share them.
    cache_dir=None)
