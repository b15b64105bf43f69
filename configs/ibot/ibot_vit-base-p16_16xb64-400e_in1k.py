# 2 nodes x 8 GPUs; on any other number add --auto-scale-lr:
# NNODES=2 NODE_RANK=0 MASTER_ADDR=host0 bash tools/dist_train.sh configs/ibot/ibot_vit-base-p16_16xb64-400e_in1k.py 8
#
# 16 GPUs x batch 64 = 1024 images per step; lr = 7.5e-4 x 1024 / 256 = 3e-3.
# 1,281,167 // 1024 = 1,251 steps per epoch, 500,400 in all.
# Published (paper, table 10): k-NN 71.2, linear 76.0.
#
# Without local crops. Crop scale and masks are assumed to be those of ViT-S
# without local crops, the schedule that of ViT-B with them.
_base_ = [
    '../_base_/models/ibot_vit-base-p16.py',
    '../_base_/datasets/imagenet_2crops.py',
    '../_base_/schedules/adamw_cosine_vit-base.py',
]

train_cfg = dict(max_epochs=400)
