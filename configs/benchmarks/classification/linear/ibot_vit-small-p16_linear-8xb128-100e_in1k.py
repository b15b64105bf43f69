# bash tools/dist_train.sh configs/benchmarks/classification/linear/ibot_vit-small-p16_linear-8xb128-100e_in1k.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x batch 128 = 1024 images per step; 45 learning rates, {1..9} x
# 10^{-4..0} times 1024 / 256, at once. 1,281,167 / 1024 = 1252 steps per
# epoch, 125,200 in all.
# Published (paper, tables 10 and 15): linear 77.9.
_base_ = [
    '../../../_base_/models/linear_vit-small-p16.py',
    '../../../_base_/datasets/imagenet_linear.py',
    '../../../_base_/schedules/linear_sgd.py',
    '../../../_base_/evaluation_runtime.py',
]
