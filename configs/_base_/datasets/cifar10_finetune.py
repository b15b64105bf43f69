# CIFAR-10, resized to 224. MMPretrain downloads it to data_root if it is
# missing.
_base_ = 'transfer_finetune.py'

data_root = 'data/cifar10/'
# MMPretrain returns RGB arrays instead of file names.
load_image = dict(type='ibot_mm.RGBToBGR')
train_pipeline = [
    load_image, _base_.random_crop, _base_.flip, _base_.rand_augment,
    _base_.random_erasing, _base_.pack_inputs]
test_pipeline = [
    load_image, _base_.resize, _base_.center_crop, _base_.pack_inputs]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CIFAR10',
        data_root=data_root,
        split='train',
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CIFAR10',
        data_root=data_root,
        split='test',
        pipeline=test_pipeline))
test_dataloader = val_dataloader
