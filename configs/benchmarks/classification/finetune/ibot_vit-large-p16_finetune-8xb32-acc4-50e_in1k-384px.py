# bash tools/dist_train.sh configs/benchmarks/classification/finetune/ibot_vit-large-p16_finetune-8xb32-acc4-50e_in1k-384px.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x batch 32 x accumulation 4 = 1024 images per step. 1,281,167 // 256
# = 5004 iterations per epoch, 250,200 in all (62,550 steps).
# Published (release): fine-tuning 87.5, pre-trained on ImageNet-22K.
#
# The recipe has no source: all is assumed to be as at 224 px, but for test
# images, which are resized to 384 (crop ratio 1). Position embeddings are
# resized to 24 x 24.
_base_ = 'ibot_vit-large-p16_finetune-8xb64-acc2-50e_in1k.py'

model = dict(backbone=dict(img_size=384))
random_crop = dict(_base_.random_crop, scale=384)
train_pipeline = [
    _base_.load_image, random_crop, _base_.flip, _base_.rand_augment,
    _base_.random_erasing, _base_.pack_inputs]
resize = dict(_base_.resize, scale=384)
center_crop = dict(_base_.center_crop, crop_size=384)
test_pipeline = [_base_.load_image, resize, center_crop, _base_.pack_inputs]
train_dataloader = dict(batch_size=32, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=64, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(accumulative_counts=4)
