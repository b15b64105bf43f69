# Launch: bash tools/dist_train.sh \
#     configs/benchmarks/classification/finetune/ibot_vit-large-p16_finetune-8xb64-acc2-50e_in1k-256px.py \
#     8 --pretrained CHECKPOINT
#
# Position embeddings are resized to 16 x 16. Test images are resized to 292
# and center-cropped to 256.
# Schedule: 8 GPUs x batch 64 x accumulation 2 = 1024 images per step; lr 1e-3
# for the head, times 0.75 per layer below; warm-up 5 epochs from 0, cosine to
# 1e-3 of each layer's peak; 1,281,167 // 512 = 2502 iterations per epoch,
# 125,100 in all (62,550 steps).
# Aim (published, official code): fine-tuning 86.6 top-1 on ImageNet-1K,
# pre-trained on ImageNet-22K. Not reproduced here.
_base_ = 'ibot_vit-large-p16_finetune-8xb64-acc2-50e_in1k.py'

model = dict(backbone=dict(img_size=256))
_base_.train_pipeline[1].scale = 256
_base_.test_pipeline[1].scale = 292
_base_.test_pipeline[2].crop_size = 256
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(
    batch_size=128, dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
