# ImageNet-1K for fine-tuning: RandAugment m9-mstd0.5-inc1 and random erasing
# with noise, as in timm's training transforms. The release also sets color
# jitter 0.4, which timm ignores with RandAugment. Test images are resized
# bilinearly.
_base_ = 'imagenet_linear.py'

random_crop = dict(_base_.random_crop, interpolation='bicubic')
rand_augment = dict(
    type='RandAugment',
    policies='timm_increasing',
    num_policies=2,
    total_level=10,
    magnitude_level=9,
    magnitude_std=0.5,
    hparams=dict(pad_val=[104, 116, 124], interpolation='bicubic'))
random_erasing = dict(
    type='RandomErasing',
    erase_prob=0.25,
    mode='rand',
    min_area_ratio=0.02,
    max_area_ratio=1 / 3,
    fill_color=[103.53, 116.28, 123.675],
    fill_std=[57.375, 57.12, 58.395])
train_pipeline = [
    _base_.load_image, random_crop, _base_.flip, rand_augment, random_erasing,
    _base_.pack_inputs]
resize = dict(_base_.resize, interpolation='bilinear')
test_pipeline = [
    _base_.load_image, resize, _base_.center_crop, _base_.pack_inputs]

train_dataloader = dict(
    drop_last=True, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=192, dataset=dict(pipeline=test_pipeline))
val_evaluator = dict(
    _delete_=True, type='mmpretrain.Accuracy', topk=(1, 5))
test_dataloader = val_dataloader
test_evaluator = val_evaluator
