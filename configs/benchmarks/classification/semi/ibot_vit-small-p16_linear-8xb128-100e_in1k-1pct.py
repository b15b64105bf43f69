# Launch: bash tools/dist_train.sh \
#     configs/benchmarks/classification/semi/ibot_vit-small-p16_linear-8xb128-100e_in1k-1pct.py \
#     8 --pretrained CHECKPOINT
#
# data/imagenet/1percent.txt: list file of SimCLRv2, one image name per line
# (other paths: --cfg-options train_dataloader.dataset.subset=PATH).
# Schedule: 8 GPUs x batch 128 x accumulation 1 = 1024 images per step; 45
# learning rates at once, cosine to 0 by epoch; 12,811 / 1024 = 13 steps per
# epoch, 1,300 in all. The best learning rate counts.
# Aim (published, paper): linear probe 62.5 top-1 with 1% of the labels. Not
# reproduced here.
_base_ = '../linear/ibot_vit-small-p16_linear-8xb128-100e_in1k.py'

train_dataloader = dict(
    dataset=dict(subset='data/imagenet/1percent.txt'))
