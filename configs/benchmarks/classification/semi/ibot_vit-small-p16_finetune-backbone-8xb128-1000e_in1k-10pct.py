# Launch: bash tools/dist_train.sh \
#     configs/benchmarks/classification/semi/ibot_vit-small-p16_finetune-backbone-8xb128-1000e_in1k-10pct.py \
#     8 --pretrained CHECKPOINT
#
# data/imagenet/10percent.txt: list file of SimCLRv2, one image name per line
# (other paths: --cfg-options train_dataloader.dataset.subset=PATH).
# Schedule: 8 GPUs x batch 128 x accumulation 1 = 1024 images per step; lr =
# 5e-6 x 1024 / 512 = 1e-5, warm-up 5 epochs, then 1e-5 (the end of the
# official code's cosine, too); 128,116 // 1024 = 125 steps per epoch, 125,000
# in all.
# Aim: none published. As the config without "backbone" in its name, but
# without a projection layer.
_base_ = 'ibot_vit-small-p16_finetune-8xb128-1000e_in1k-10pct.py'

model = dict(neck=None, head=dict(in_channels=384))
