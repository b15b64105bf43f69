# Launch: python tools/train.py \
#     configs/examples/mask-rcnn_vit-micro-p8-ibot-pre_fpn_shapes.py \
#     --pretrained work_dirs/quickstart_seed0/epoch_20.pth
#
# An example that a CPU trains: the network of the quickstart on the shapes
# data set. Needs tools/quickstart.sh first, which makes both.
# Schedule: 1 process x batch 8 x accumulation 1 = 8 images per step; lr 1e-3,
# warm-up 100 iterations, 4 epochs of 300 iterations (1,200 in all), rate x
# 0.1 after epoch 3. Results: docs/dense_tasks.md.
_base_ = [
    '../benchmarks/detection/mask-rcnn_vit-s-p16-ibot-pre_fpn_amp-ms-crop-1x_coco.py',
    '../_base_/shapes_detection.py',
]

model = dict(
    backbone=_base_.shapes_backbone,
    neck=_base_.shapes_neck,
    rpn_head=_base_.shapes_rpn_head,
    roi_head=dict(
        bbox_roi_extractor=_base_.shapes_roi_extractor,
        bbox_head=dict(in_channels=64, fc_out_channels=256, num_classes=12),
        mask_roi_extractor=_base_.shapes_roi_extractor,
        mask_head=_base_.shapes_mask_head),
    train_cfg=dict(
        rpn_proposal=_base_.shapes_proposals,
        rcnn=dict(sampler=dict(num=64))),
    test_cfg=dict(rpn=_base_.shapes_proposals))
train_dataloader = _base_.shapes_train_dataloader
val_dataloader = _base_.shapes_val_dataloader
test_dataloader = val_dataloader
val_evaluator = _base_.shapes_evaluator
test_evaluator = val_evaluator

optim_wrapper = _base_.shapes_optim_wrapper
auto_scale_lr = dict(base_batch_size=8)
param_scheduler = _base_.shapes_param_scheduler
train_cfg = dict(max_epochs=4)
