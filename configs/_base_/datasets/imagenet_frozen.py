# ImageNet-1K for protocols on frozen features. The class folders of the
# training set define the labels.
_base_ = 'imagenet_center-crop.py'

test_dataloader = dict(
    batch_size=256,
    num_workers=10,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='ibot_mm.LabeledDataset',
        data_root=_base_.data_root,
        data_prefix='val',
        classes_prefix='train',
        pipeline=_base_.test_pipeline))
bank_dataloader = dict(
    batch_size=256,
    num_workers=10,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='ibot_mm.LabeledDataset',
        data_root=_base_.data_root,
        data_prefix='train',
        pipeline=_base_.test_pipeline))
test_evaluator = []
test_cfg = dict(
    type='ibot_mm.FeatureTestLoop',
    bank_dataloader=bank_dataloader,
    # Set a folder to cache the features, which all protocols share.
    cache_dir=None)
