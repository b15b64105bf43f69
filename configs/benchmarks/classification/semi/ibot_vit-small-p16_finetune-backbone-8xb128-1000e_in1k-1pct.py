# Launch: bash tools/dist_train.sh \
#     configs/benchmarks/classification/semi/ibot_vit-small-p16_finetune-backbone-8xb128-1000e_in1k-1pct.py \
#     8 --pretrained CHECKPOINT
#
# CHECKPOINT: of a pre-training, of the official code or from
# extract_backbone.py; the teacher is taken. data/imagenet/1percent.txt: the
# list file of SimCLRv2, one image name a line (another path: --cfg-options
# train_dataloader.dataset.subset=PATH).
# Schedule: 8 GPUs x batch 128 x accumulation 1 = 1024 images a step; lr =
# 5e-6 x 1024 / 512 = 1e-5, warm-up 5 epochs, then 1e-5 (the release's cosine
# ends there too); 12,811 // 1024 = 12 steps an epoch, 12,000 in all.
# Aim: none of ours; the same from the backbone alone, without a projection
# layer.
_base_ = 'ibot_vit-small-p16_finetune-8xb128-1000e_in1k-1pct.py'

model = dict(neck=None, head=dict(in_channels=384))
