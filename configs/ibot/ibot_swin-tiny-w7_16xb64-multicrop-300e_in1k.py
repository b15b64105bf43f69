# Launch: torchrun --nnodes 2 --nproc_per_node 8 --node_rank RANK \
#     --master_addr HOST tools/train.py \
#     configs/ibot/ibot_swin-tiny-w7_16xb64-multicrop-300e_in1k.py \
#     --launcher pytorch
# on each of 2 nodes, or on any number of GPUs with --auto-scale-lr.
#
# Schedule: 16 GPUs x batch 64 x accumulation 1 = 1024 images per step;
# lr = 5e-4 x 1024 / 256 = 2e-3, warm-up 10 epochs from 0, cosine to 1e-6.
# ImageNet-1K: 1,281,167 // 1024 = 1251 steps per epoch, 375,300 in all.
#
# Aim (published, official code): k-NN 75.3, linear probe 78.6 top-1 on
# ImageNet-1K. Not reproduced here.
#
# Masks and the warm-up of the patch temperature start at epoch 50. A mask
# entry covers 32 pixels, the stride of the last stage. The drop path rate is
# 0.1, as in the official model factory (0.2 in the official table of
# settings).
_base_ = 'ibot_vit-small-p16_16xb64-multicrop-800e_in1k.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ibot_mm.IBOTSwin',
        arch='tiny',
        img_size=224,
        window_size=7,
        drop_path_rate=0.1,
        with_mask_token=True),
    neck=dict(in_channels=768))

train_pipeline = _base_.train_pipeline
train_pipeline[2].update(patch_size=32, start_epoch=50)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
default_hooks = dict(teacher_temperature=dict(patch_start_epoch=50))
train_cfg = dict(max_epochs=300)
