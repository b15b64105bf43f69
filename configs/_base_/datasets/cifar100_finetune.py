# CIFAR-100, enlarged to 224; the host downloads it to data_root if it is not
# there.
_base_ = 'transfer_finetune.py'

data_root = 'data/cifar100/'
# The host gives RGB arrays, not files.
_base_.train_pipeline[0] = dict(type='ibot_mm.RGBToBGR')
_base_.test_pipeline[0] = dict(type='ibot_mm.RGBToBGR')
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CIFAR100',
        data_root=data_root,
        split='train',
        pipeline=_base_.train_pipeline))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CIFAR100',
        data_root=data_root,
        split='test',
        pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
