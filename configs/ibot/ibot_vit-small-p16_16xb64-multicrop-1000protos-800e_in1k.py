# 2 nodes x 8 GPUs; on any other number add --auto-scale-lr:
# NNODES=2 NODE_RANK=0 MASTER_ADDR=host0 bash tools/dist_train.sh configs/ibot/ibot_vit-small-p16_16xb64-multicrop-1000protos-800e_in1k.py 8
#
# 16 GPUs x batch 64 = 1024 images per step; lr = 5e-4 x 1024 / 256 = 2e-3.
# 1,281,167 // 1024 = 1,251 steps per epoch, 1,000,800 in all.
# Published (paper), with the prototypes as clusters: ACC 43.4, ARI 32.8,
# NMI 78.6, FMI 35.6.
#
# One prototype for each class of ImageNet-1K. That nothing else differs from
# the run with 8192 is assumed.
_base_ = 'ibot_vit-small-p16_16xb64-multicrop-800e_in1k.py'

model = dict(neck=dict(num_prototypes=1000), head=dict(num_prototypes=1000))
