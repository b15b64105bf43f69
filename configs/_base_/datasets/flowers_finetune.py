# Oxford Flowers-102: jpg/, imagelabels.mat and setid.mat in data_root;
# training uses the training and validation sets.
_base_ = 'transfer_finetune.py'

data_root = 'data/flowers102/'
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='Flowers102',
        data_root=data_root,
        split='trainval',
        pipeline=_base_.train_pipeline))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='Flowers102',
        data_root=data_root,
        split='test',
        pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
