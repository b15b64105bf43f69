# bash tools/dist_train.sh configs/benchmarks/classification/semi/ibot_vit-small-p16_linear-8xb128-100e_in1k-10pct.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x batch 128 = 1024 images per step; 45 learning rates at once.
# 128,116 / 1024 = 126 steps per epoch, 12,600 in all.
# Published (paper, table 12): linear 72.2 with 10% of the labels.
#
# data/imagenet/10percent.txt: SimCLRv2's list, one image name per line
# (another path: --cfg-options train_dataloader.dataset.subset=PATH).
_base_ = '../linear/ibot_vit-small-p16_linear-8xb128-100e_in1k.py'

train_dataloader = dict(
    dataset=dict(subset='data/imagenet/10percent.txt'))
