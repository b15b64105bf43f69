# iNaturalist 2019: train2019.json, val2019.json and train_val2019/ in
# data_root.
_base_ = 'inat18_finetune.py'

data_root = 'data/inat19/'
train_dataloader = dict(dataset=dict(data_root=data_root, year=2019))
val_dataloader = dict(dataset=dict(data_root=data_root, year=2019))
test_dataloader = val_dataloader
