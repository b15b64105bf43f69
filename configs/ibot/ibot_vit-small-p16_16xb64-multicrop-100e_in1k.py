# 2 nodes x 8 GPUs; on any other number add --auto-scale-lr:
# NNODES=2 NODE_RANK=0 MASTER_ADDR=host0 bash tools/dist_train.sh configs/ibot/ibot_vit-small-p16_16xb64-multicrop-100e_in1k.py 8
#
# 16 GPUs x batch 64 = 1024 images per step; lr = 5e-4 x 1024 / 256 = 2e-3.
# 1,281,167 // 1024 = 1,251 steps per epoch, 125,100 in all.
# Published (bytedance/ibot, issue 22): k-NN 71.5, with masks of ratio 0 or 0.3
# instead of 0 or U(0.1, 0.5).
_base_ = 'ibot_vit-small-p16_16xb64-multicrop-800e_in1k.py'

train_cfg = dict(max_epochs=100)
