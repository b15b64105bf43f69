# Launch: torchrun --nnodes 2 --nproc_per_node 8 --node_rank RANK \
#     --master_addr HOST tools/train.py \
#   configs/ibot/ibot_vit-small-p16_16xb64-multicrop-1000protos-800e_in1k.py \
#     --launcher pytorch
# on each of 2 nodes, or on any number of GPUs with --auto-scale-lr.
#
# Schedule: 16 GPUs x batch 64 x accumulation 1 = 1024 images per step;
# lr = 5e-4 x 1024 / 256 = 2e-3, warm-up 10 epochs from 0, cosine to 1e-6.
# ImageNet-1K: 1,281,167 // 1024 = 1251 steps per epoch, 1,000,800 in all.
#
# Aim (published): unsupervised classification with the prototypes as clusters,
# ACC 43.4, ARI 32.8, NMI 78.6, FMI 35.6. Not reproduced here.
#
# ViT-S/16 with 1000 prototypes, one per class of ImageNet-1K.
_base_ = 'ibot_vit-small-p16_16xb64-multicrop-800e_in1k.py'

model = dict(neck=dict(num_prototypes=1000), head=dict(num_prototypes=1000))
