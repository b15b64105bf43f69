# Launch: bash tools/dist_train.sh \
#     configs/benchmarks/classification/linear/ibot_vit-small-p16_linear-8xb128-100e_in1k.py \
#     8 --pretrained CHECKPOINT
#
# Schedule: 8 GPUs x batch 128 x accumulation 1 = 1024 images per step; all
# learning rates of {1..9} x 10^{-4..0}, times 1024 / 256 = 4, are trained at
# once, cosine to 0 by epoch; 1,281,167 / 1024 = 1252 steps per epoch, 125,200
# in all. The best learning rate counts.
# Aim (published, official code): linear probe 77.9 top-1 on ImageNet-1K. Not
# reproduced here.
_base_ = [
    '../../../_base_/models/linear_vit-small-p16.py',
    '../../../_base_/datasets/imagenet_linear.py',
    '../../../_base_/schedules/linear_sgd.py',
    '../../../_base_/evaluation_runtime.py',
]
