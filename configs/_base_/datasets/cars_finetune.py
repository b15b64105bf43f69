# Stanford Cars: car_ims/ and cars_annos.mat in data_root.
_base_ = 'transfer_finetune.py'

data_root = 'data/stanford_cars/'
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='StanfordCars',
        data_root=data_root,
        split='train',
        pipeline=_base_.train_pipeline))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='StanfordCars',
        data_root=data_root,
        split='test',
        pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
