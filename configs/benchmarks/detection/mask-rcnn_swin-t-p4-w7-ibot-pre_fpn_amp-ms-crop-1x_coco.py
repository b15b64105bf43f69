# Launch: bash tools/dist_train.sh \
#     configs/benchmarks/detection/mask-rcnn_swin-t-p4-w7-ibot-pre_fpn_amp-ms-crop-1x_coco.py \
#     8 --pretrained CHECKPOINT
#
# CHECKPOINT: of a pre-training, of the official code or from
# extract_backbone.py; the teacher is loaded.
# Schedule: 8 GPUs x batch 2 x accumulation 1 = 16 images per step; lr 1e-4;
# warm-up 500 iterations, 12 epochs of 7,330 iterations (87,960 in all;
# 117,266 images have instances), rate x 0.1 after epochs 8 and 11.
# Neither paper nor release states the batch size: it is that of MMDetection's
# Swin configs.
# No result of this configuration is published.
_base_ = [
    'mmdet::convnext/mask-rcnn_convnext-t-p4-w7_fpn_amp-ms-crop-3x_coco.py',
    '../../_base_/detection.py',
]
custom_imports = dict(imports=['ibot_mm'], allow_failed_imports=False)

model = _base_.swin_model

optim_wrapper = _base_.swin_optim_wrapper
auto_scale_lr = dict(base_batch_size=16)
param_scheduler = _base_.schedule_1x
train_cfg = dict(max_epochs=12)
default_hooks = _base_.hooks
