# bash tools/dist_train.sh configs/benchmarks/classification/semi/ibot_vit-small-p16_finetune-backbone-8xb128-1000e_in1k-10pct.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x batch 128 = 1024 images per step; lr = 5e-6 x 1024 / 512 = 1e-5,
# which is also the end of the release's cosine. 128,116 // 1024 = 125 steps
# per epoch, 125,000 in all.
# Published (paper, table 12): 74.0 with 10% of the labels.
#
# From the backbone, without a projection layer.
# data/imagenet/10percent.txt: SimCLRv2's list, one image name per line
# (another path: --cfg-options train_dataloader.dataset.subset=PATH).
_base_ = 'ibot_vit-small-p16_finetune-8xb128-1000e_in1k-10pct.py'

model = dict(neck=None, head=dict(in_channels=384))
