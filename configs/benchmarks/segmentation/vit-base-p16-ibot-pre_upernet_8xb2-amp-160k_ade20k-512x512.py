# bash tools/dist_train.sh configs/benchmarks/segmentation/vit-base-p16-ibot-pre_upernet_8xb2-amp-160k_ade20k-512x512.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x 2 images = 16 per step; lr 8e-5 for neck and heads, x 0.65 per layer
# of the backbone; warm-up 1,500 iterations, linear to 0 after 160,000.
# The rate is that of the official code's README; its config file says 7e-4.
# Published (paper, table 14): mIoU 50.0, mAcc 60.3.
_base_ = [
    '../../_base_/models/upernet_vit-base-p16.py',
    '../../_base_/datasets/ade20k_512.py',
    '../../_base_/schedules/ade20k_160k.py',
]

train_dataloader = dict(batch_size=2)
