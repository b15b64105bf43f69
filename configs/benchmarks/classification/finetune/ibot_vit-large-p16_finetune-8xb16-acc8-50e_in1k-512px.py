# Launch: bash tools/dist_train.sh \
#     configs/benchmarks/classification/finetune/ibot_vit-large-p16_finetune-8xb16-acc8-50e_in1k-512px.py \
#     8 --pretrained CHECKPOINT
#
# Position embeddings are resized to 32 x 32. Test images are resized to 512
# and center-cropped to 512. The split of the batch over GPUs and accumulation
# is our choice.
# Schedule: 8 GPUs x batch 16 x accumulation 8 = 1024 images per step; lr 1e-3
# for the head, times 0.75 per layer below; warm-up 5 epochs from 0, cosine to
# 1e-3 of each layer's peak; 1,281,167 // 128 = 10009 iterations per epoch,
# 500,450 in all (62,556 steps).
# Aim (published, official code): fine-tuning 87.8 top-1 on ImageNet-1K,
# pre-trained on ImageNet-22K. Not reproduced here.
_base_ = 'ibot_vit-large-p16_finetune-8xb64-acc2-50e_in1k.py'

model = dict(backbone=dict(img_size=512))
_base_.train_pipeline[1].scale = 512
_base_.test_pipeline[1].scale = 512
_base_.test_pipeline[2].crop_size = 512
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(
    batch_size=32, dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
train_dataloader.update(batch_size=16)
optim_wrapper = dict(accumulative_counts=8)
