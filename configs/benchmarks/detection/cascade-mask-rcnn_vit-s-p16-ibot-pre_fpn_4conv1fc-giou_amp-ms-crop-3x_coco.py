# Launch: bash tools/dist_train.sh \
#     configs/benchmarks/detection/cascade-mask-rcnn_vit-s-p16-ibot-pre_fpn_4conv1fc-giou_amp-ms-crop-3x_coco.py \
#     8 --pretrained CHECKPOINT
#
# CHECKPOINT: of a pre-training, of the official code or from
# extract_backbone.py; the teacher is loaded.
# Schedule: 8 GPUs x batch 4 x accumulation 1 = 32 images per step; lr 1e-4
# for the heads, times 0.8 for each layer of the backbone below;
# warm-up 500 iterations, 36 epochs of 3,665 iterations (131,940 in all;
# 117,266 images have instances), rate x 0.1 after epochs 27 and 33.
# No result of this configuration is published.
_base_ = 'cascade-mask-rcnn_vit-s-p16-ibot-pre_fpn_4conv1fc-giou_amp-ms-crop-1x_coco.py'

param_scheduler = _base_.schedule_3x
train_cfg = dict(max_epochs=36)
