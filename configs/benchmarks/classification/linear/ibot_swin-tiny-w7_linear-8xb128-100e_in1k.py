# bash tools/dist_train.sh configs/benchmarks/classification/linear/ibot_swin-tiny-w7_linear-8xb128-100e_in1k.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x batch 128 = 1024 images per step; 45 learning rates, {1..9} x
# 10^{-4..0} times 1024 / 256, at once. 1,281,167 / 1024 = 1252 steps per
# epoch, 125,200 in all.
# Published (release): linear 78.6.
#
# Mean tokens of the last 4 blocks (384, 384, 768 and 768 wide).
_base_ = 'ibot_vit-small-p16_linear-8xb128-100e_in1k.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ibot_mm.IBOTSwin',
        arch='tiny',
        img_size=224,
        window_size=7,
        init_cfg=dict(type='Pretrained', checkpoint='')))
