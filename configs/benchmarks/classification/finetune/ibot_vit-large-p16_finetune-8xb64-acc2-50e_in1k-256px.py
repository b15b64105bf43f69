# bash tools/dist_train.sh configs/benchmarks/classification/finetune/ibot_vit-large-p16_finetune-8xb64-acc2-50e_in1k-256px.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x batch 64 x accumulation 2 = 1024 images per step. 1,281,167 // 512
# = 2502 iterations per epoch, 125,100 in all (62,550 steps).
# Published (release): fine-tuning 86.6, pre-trained on ImageNet-22K. The
# paper has 224 px for all results but that at 512.
#
# Position embeddings are resized to 16 x 16. Test images are resized to 292
# (256 / 0.875) and center-cropped.
_base_ = 'ibot_vit-large-p16_finetune-8xb64-acc2-50e_in1k.py'

model = dict(backbone=dict(img_size=256))
random_crop = dict(_base_.random_crop, scale=256)
train_pipeline = [
    _base_.load_image, random_crop, _base_.flip, _base_.rand_augment,
    _base_.random_erasing, _base_.pack_inputs]
resize = dict(_base_.resize, scale=292)
center_crop = dict(_base_.center_crop, crop_size=256)
test_pipeline = [_base_.load_image, resize, center_crop, _base_.pack_inputs]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=128, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
