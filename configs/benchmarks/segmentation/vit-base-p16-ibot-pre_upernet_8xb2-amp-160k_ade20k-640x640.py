# Launch: bash tools/dist_train.sh \
#     configs/benchmarks/segmentation/vit-base-p16-ibot-pre_upernet_8xb2-amp-160k_ade20k-640x640.py \
#     8 --pretrained CHECKPOINT
#
# CHECKPOINT: of a pre-training, of the official code or from
# extract_backbone.py; the teacher is loaded.
# Schedule: 8 GPUs x batch 2 x accumulation 1 = 16 images per step; lr 3e-5
# for the head, times 0.9 for each layer of the backbone below;
# warm-up 1500 iterations from 1e-6 of it, linear to 0 after 160,000
# iterations.
# No result of this configuration is published.
_base_ = [
    '../../_base_/models/upernet_vit-base-p16.py',
    '../../_base_/datasets/ade20k_640.py',
    '../../_base_/schedules/ade20k_160k.py',
]

model = dict(
    data_preprocessor=dict(size=(640, 640)),
    backbone=dict(out_with_norm=False),
    test_cfg=dict(crop_size=(640, 640), stride=(426, 426)))
train_dataloader = dict(batch_size=2)
optim_wrapper = dict(
    optimizer=dict(lr=3e-5), paramwise_cfg=dict(layer_decay_rate=0.9))
