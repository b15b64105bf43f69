# Fine-tuning on other data sets (release): as on ImageNet, but with repeated
# augmentation (an epoch has a third of the images, three times each) and
# bicubic resizing of test images. The data sets inherit from this file.
_base_ = 'imagenet_finetune.py'

resize = dict(_base_.resize, interpolation='bicubic')
test_pipeline = [
    _base_.load_image, resize, _base_.center_crop, _base_.pack_inputs]
train_dataloader = dict(
    batch_size=96,
    sampler=dict(_delete_=True, type='RepeatAugSampler', num_repeats=3))
val_dataloader = dict(batch_size=144, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
