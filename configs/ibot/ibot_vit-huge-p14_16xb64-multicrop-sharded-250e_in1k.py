# Launch: torchrun --nnodes 2 --nproc_per_node 8 --node_rank RANK \
#     --master_addr HOST tools/train.py \
#     configs/ibot/ibot_vit-huge-p14_16xb64-multicrop-sharded-250e_in1k.py \
#     --launcher pytorch
# on each of 2 nodes, or on any number of GPUs with --auto-scale-lr.
#
# Schedule: 16 GPUs x batch 64 x accumulation 1 = 1024 images per step;
# lr = 5e-4 x 1024 / 256 = 2e-3, warm-up 10 epochs from 0, cosine to 1e-6.
# ImageNet-1K: 1,281,167 // 1024 = 1251 steps per epoch, 312,750 in all.
#
# Aim: none published. Neither the paper nor the official code has a ViT-H:
# this is the recipe of ViT-L with its hyperparameters on a larger network, and
# it has never been run.
#
# ViT-H/14: width 1280, 32 layers; student and teacher have 1,280,430,336
# parameters including heads, 630,766,080 per backbone. Patches of 14 pixels
# divide 224 (16 x 16 patches) but not 96, so local crops are 98 (7 x 7).
_base_ = 'ibot_vit-large-p16_16xb64-multicrop-sharded-250e_in1k.py'

model = dict(
    backbone=dict(arch='huge', patch_size=14), neck=dict(in_channels=1280))

train_pipeline = _base_.train_pipeline
for crop in train_pipeline[1].local_crops:
    crop.size = 98
del crop  # a loop variable would become a key of the config
train_pipeline[2].patch_size = 14
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
