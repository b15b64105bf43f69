# Launch: bash tools/dist_train.sh \
#     configs/benchmarks/classification/finetune/ibot_vit-large-p16_finetune-8xb32-acc4-50e_in1k-384px.py \
#     8 --pretrained CHECKPOINT
#
# Position embeddings are resized to 24 x 24. Test images are resized to 384
# and center-cropped to 384. The split of the batch over GPUs and accumulation
# is our choice.
# Schedule: 8 GPUs x batch 32 x accumulation 4 = 1024 images per step; lr 1e-3
# for the head, times 0.75 per layer below; warm-up 5 epochs from 0, cosine to
# 1e-3 of each layer's peak; 1,281,167 // 256 = 5004 iterations per epoch,
# 250,200 in all (62,550 steps).
# Aim (published, official code): fine-tuning 87.5 top-1 on ImageNet-1K,
# pre-trained on ImageNet-22K. Not reproduced here.
_base_ = 'ibot_vit-large-p16_finetune-8xb64-acc2-50e_in1k.py'

model = dict(backbone=dict(img_size=384))
_base_.train_pipeline[1].scale = 384
_base_.test_pipeline[1].scale = 384
_base_.test_pipeline[2].crop_size = 384
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(
    batch_size=64, dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
train_dataloader.update(batch_size=32)
optim_wrapper = dict(accumulative_counts=4)
