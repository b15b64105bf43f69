# Launch: bash tools/dist_train.sh \
#     configs/benchmarks/segmentation/vit-small-p16-ibot-pre_linear_4xb4-amp-160k_ade20k-512x512.py \
#     4 --pretrained CHECKPOINT
#
# CHECKPOINT: of a pre-training, of the official code or from
# extract_backbone.py; the teacher is loaded.
# Schedule: 4 GPUs x batch 4 x accumulation 1 = 16 images per step; lr 3e-5
# for the linear head, the only thing trained;
# warm-up 1500 iterations from 1e-6 of it, linear to 0 after 160,000
# iterations.
# No result of this configuration is published.
_base_ = [
    '../../_base_/models/linear-seg_vit-small-p16.py',
    '../../_base_/datasets/ade20k_512.py',
    '../../_base_/schedules/ade20k_160k.py',
]

train_dataloader = dict(batch_size=4)
optim_wrapper = dict(
    optimizer=dict(lr=3e-5), paramwise_cfg=dict(layer_decay_rate=1.0))
