# For Swin: a mask entry covers 32 pixels, the stride of the last stage, and
# masks start at epoch 50.
_base_ = 'imagenet_multicrop_scale0.25.py'

masks = dict(_base_.masks, patch_size=32, start_epoch=50)
train_pipeline = [_base_.load_image, _base_.multi_crop, masks]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
