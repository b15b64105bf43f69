# CIFAR-10, resized to 224. MMPretrain downloads it to data_root if it is
# missing.
_base_ = 'transfer_finetune.py'

data_root = 'data/cifar10/'
# MMPretrain returns RGB arrays instead of file names.
_base_.train_pipeline[0] = dict(type='ibot_mm.RGBToBGR')
_base_.test_pipeline[0] = dict(type='ibot_mm.RGBToBGR')
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CIFAR10',
        data_root=data_root,
        split='train',
        pipeline=_base_.train_pipeline))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CIFAR10',
        data_root=data_root,
        split='test',
        pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
