# iNaturalist 2018: train2018.json, val2018.json and train_val2018/ in
# data_root; erasing with probability 0.1.
_base_ = 'transfer_finetune.py'

data_root = 'data/inat18/'
random_erasing = dict(_base_.random_erasing, erase_prob=0.1)
train_pipeline = [
    _base_.load_image, _base_.random_crop, _base_.flip, _base_.rand_augment,
    random_erasing, _base_.pack_inputs]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ibot_mm.INaturalist',
        data_root=data_root,
        split='train',
        year=2018,
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ibot_mm.INaturalist',
        data_root=data_root,
        split='val',
        year=2018,
        pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
