# Launch: torchrun --nnodes 2 --nproc_per_node 8 --node_rank RANK \
#     --master_addr HOST tools/train.py \
#     configs/ibot/ibot_vit-base-p16_16xb64-multicrop-80e_in22k.py \
#     --launcher pytorch
# on each of 2 nodes, or on any number of GPUs with --auto-scale-lr.
#
# Schedule: 16 GPUs x batch 64 x accumulation 1 = 1024 images per step;
# lr = 5e-4 x 1024 / 256 = 2e-3, warm-up 10 epochs from 0, cosine to 1e-6.
# ImageNet-22K: 14,197,086 // 1024 = 13,864 steps per epoch, 1,109,120 in all
# (the number of images of the full release; your copy may lack some).
#
# Aim (published, official code): k-NN 71.1, linear probe 79.0,
# fine-tuning 84.4 top-1 on ImageNet-1K. Not reproduced here. Validation is
# k-NN on ImageNet-1K.
_base_ = 'ibot_vit-base-p16_16xb64-multicrop-400e_in1k.py'

train_dataloader = dict(
    dataset=dict(data_root='data/imagenet22k/', data_prefix=''))
train_cfg = dict(max_epochs=80, val_interval=10)
