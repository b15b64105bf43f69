# Launch: bash tools/dist_train.sh \
#     configs/benchmarks/segmentation/vit-base-p16-ibot-pre_upernet_8xb2-amp-160k_ade20k-512x512.py \
#     8 --pretrained CHECKPOINT
#
# CHECKPOINT: of a pre-training, of the official code or from
# extract_backbone.py; the teacher is loaded.
# Schedule: 8 GPUs x batch 2 x accumulation 1 = 16 images per step; lr 8e-5
# for the head, times 0.65 for each layer of the backbone below;
# warm-up 1500 iterations from 1e-6 of it, linear to 0 after 160,000
# iterations.
# Aim (published, paper): mIoU 50.0 on the validation set of ADE20K.
# Not reproduced here.
_base_ = [
    '../../_base_/models/upernet_vit-base-p16.py',
    '../../_base_/datasets/ade20k_512.py',
    '../../_base_/schedules/ade20k_160k.py',
]

train_dataloader = dict(batch_size=2)
