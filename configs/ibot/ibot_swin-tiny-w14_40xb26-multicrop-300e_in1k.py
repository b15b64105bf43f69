# Launch: torchrun --nnodes 5 --nproc_per_node 8 --node_rank RANK \
#     --master_addr HOST tools/train.py \
#     configs/ibot/ibot_swin-tiny-w14_40xb26-multicrop-300e_in1k.py \
#     --launcher pytorch
# on each of 5 nodes, or on any number of GPUs with --auto-scale-lr.
#
# Schedule: 40 GPUs x batch 26 x accumulation 1 = 1040 images per step;
# lr = 5e-4 x 1040 / 256 = 2.03125e-3, warm-up 10 epochs from 0, cosine
# to 1e-6.
# ImageNet-1K: 1,281,167 // 1040 = 1231 steps per epoch, 369,300 in all.
#
# Aim (published, official code): k-NN 76.2, linear probe 79.3 top-1 on
# ImageNet-1K. Not reproduced here.
_base_ = 'ibot_swin-tiny-w7_16xb64-multicrop-300e_in1k.py'

model = dict(backbone=dict(window_size=14))
train_dataloader = dict(batch_size=26)
optim_wrapper = dict(optimizer=dict(lr=5e-4 * 1040 / 256))
auto_scale_lr = dict(base_batch_size=1040)
