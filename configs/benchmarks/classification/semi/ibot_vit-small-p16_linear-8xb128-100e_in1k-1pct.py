# bash tools/dist_train.sh configs/benchmarks/classification/semi/ibot_vit-small-p16_linear-8xb128-100e_in1k-1pct.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x batch 128 = 1024 images per step; 45 learning rates at once.
# 12,811 / 1024 = 13 steps per epoch, 1,300 in all.
# Published (paper, table 12): linear 62.5 with 1% of the labels.
#
# data/imagenet/1percent.txt: SimCLRv2's list, one image name per line
# (another path: --cfg-options train_dataloader.dataset.subset=PATH).
_base_ = '../linear/ibot_vit-small-p16_linear-8xb128-100e_in1k.py'

train_dataloader = dict(
    dataset=dict(subset='data/imagenet/1percent.txt'))
