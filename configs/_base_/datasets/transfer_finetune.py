# Fine-tuning on other data sets (official release): as on ImageNet, but every
# image three times in an epoch that sees a third of them (repeated
# augmentation), and bicubic resizing in tests. Data sets inherit this and say
# where their images are.
_base_ = 'imagenet_finetune.py'

_base_.test_pipeline[1].interpolation = 'bicubic'
train_dataloader = dict(
    batch_size=96,
    sampler=dict(_delete_=True, type='RepeatAugSampler', num_repeats=3))
val_dataloader = dict(
    batch_size=144, dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
