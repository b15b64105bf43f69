# bash tools/dist_train.sh configs/benchmarks/classification/finetune/ibot_vit-large-p16_finetune-8xb16-acc8-50e_in1k-512px.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x batch 16 x accumulation 8 = 1024 images per step. 1,281,167 // 128
# = 10009 iterations per epoch, 500,450 in all (62,557 steps).
# Published (release): fine-tuning 87.8, pre-trained on ImageNet-22K.
#
# The recipe has no source: all is assumed to be as at 224 px, but for test
# images, which are resized to 512 (crop ratio 1). Position embeddings are
# resized to 32 x 32.
_base_ = 'ibot_vit-large-p16_finetune-8xb64-acc2-50e_in1k.py'

model = dict(backbone=dict(img_size=512))
random_crop = dict(_base_.random_crop, scale=512)
train_pipeline = [
    _base_.load_image, random_crop, _base_.flip, _base_.rand_augment,
    _base_.random_erasing, _base_.pack_inputs]
resize = dict(_base_.resize, scale=512)
center_crop = dict(_base_.center_crop, crop_size=512)
test_pipeline = [_base_.load_image, resize, center_crop, _base_.pack_inputs]
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=32, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(accumulative_counts=8)
