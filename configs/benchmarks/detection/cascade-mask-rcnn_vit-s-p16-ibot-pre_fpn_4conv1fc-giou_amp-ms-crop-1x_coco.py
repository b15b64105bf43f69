# Launch: bash tools/dist_train.sh \
#     configs/benchmarks/detection/cascade-mask-rcnn_vit-s-p16-ibot-pre_fpn_4conv1fc-giou_amp-ms-crop-1x_coco.py \
#     8 --pretrained CHECKPOINT
#
# CHECKPOINT: of a pre-training, of the official code or from
# extract_backbone.py; the teacher is loaded.
# Schedule: 8 GPUs x batch 4 x accumulation 1 = 32 images per step; lr 1e-4
# for the heads, times 0.8 for each layer of the backbone below;
# warm-up 500 iterations, 12 epochs of 3,665 iterations (43,980 in all;
# 117,266 images have instances), rate x 0.1 after epochs 8 and 11.
# Aim (published, paper): box AP 49.4, mask AP 42.6 on COCO val2017.
# Not reproduced here.
_base_ = [
    'mmdet::convnext/cascade-mask-rcnn_convnext-t-p4-w7_fpn_4conv1fc-giou_amp-ms-crop-3x_coco.py',
    '../../_base_/detection.py',
]
custom_imports = dict(imports=['ibot_mm'], allow_failed_imports=False)

model = _base_.vit_model
train_dataloader = dict(batch_size=4)

optim_wrapper = _base_.vit_optim_wrapper
auto_scale_lr = dict(base_batch_size=32)
param_scheduler = _base_.schedule_1x
train_cfg = dict(max_epochs=12)
default_hooks = _base_.hooks
