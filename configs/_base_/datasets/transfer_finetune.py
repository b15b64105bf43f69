# Fine-tuning on other data sets (official code): as on ImageNet, but with
# repeated augmentation (an epoch has a third of the images, three times each)
# and bicubic resizing of test images. The data sets inherit from this file.
_base_ = 'imagenet_finetune.py'

_base_.test_pipeline[1].interpolation = 'bicubic'
train_dataloader = dict(
    batch_size=96,
    sampler=dict(_delete_=True, type='RepeatAugSampler', num_repeats=3))
val_dataloader = dict(
    batch_size=144, dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
