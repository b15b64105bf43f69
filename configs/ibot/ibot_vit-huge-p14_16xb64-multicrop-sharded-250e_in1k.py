# 2 nodes x 8 GPUs; on any other number add --auto-scale-lr:
# NNODES=2 NODE_RANK=0 MASTER_ADDR=host0 bash tools/dist_train.sh configs/ibot/ibot_vit-huge-p14_16xb64-multicrop-sharded-250e_in1k.py 8
#
# 16 GPUs x batch 64 = 1024 images per step; lr = 7.5e-4 x 1024 / 256 = 3e-3.
# 1,281,167 // 1024 = 1,251 steps per epoch, 312,750 in all.
# Neither the paper nor the official code has a ViT-H: every value is assumed,
# as for ViT-L, and this has never been run.
#
# ViT-H/14: width 1280, 32 layers; student and teacher have 1,280,430,336
# parameters including heads, 630,766,080 per backbone. Sharded as ViT-L is.
_base_ = [
    '../_base_/models/ibot_vit-large-p16.py',
    '../_base_/datasets/imagenet_multicrop_scale0.32_p14.py',
    '../_base_/schedules/adamw_cosine_vit-base.py',
]

runner_type = 'ibot_mm.ShardedRunner'
strategy = dict(type='ibot_mm.ShardedStrategy')
model = dict(
    accumulate_passes=False,
    compile_blocks=None,
    backbone=dict(arch='huge', patch_size=14, with_cp=True),
    neck=dict(in_channels=1280))
train_cfg = dict(max_epochs=250)
