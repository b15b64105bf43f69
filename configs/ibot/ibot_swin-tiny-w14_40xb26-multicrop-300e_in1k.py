# 5 nodes x 8 GPUs; on any other number add --auto-scale-lr:
# NNODES=5 NODE_RANK=0 MASTER_ADDR=host0 bash tools/dist_train.sh configs/ibot/ibot_swin-tiny-w14_40xb26-multicrop-300e_in1k.py 8
#
# 40 GPUs x batch 26 = 1040 images per step; lr = 5e-4 x 1040 / 256 =
# 2.03125e-3.
# 1,281,167 // 1040 = 1,231 steps per epoch, 369,300 in all.
# Published (release): k-NN 76.2, linear 79.3.
_base_ = 'ibot_swin-tiny-w7_16xb64-multicrop-300e_in1k.py'

model = dict(backbone=dict(window_size=14))
train_dataloader = dict(batch_size=26)
optim_wrapper = dict(optimizer=dict(lr=5e-4 * 1040 / 256))
auto_scale_lr = dict(base_batch_size=1040)
