# ImageNet-1K for protocols on frozen features: images are resized to 256
# (bicubic) and center-cropped to 224. The class folders of the training set
# define the labels.
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
    # Set a folder to cache the features, which all protocols share.
    cache_dir=None)
