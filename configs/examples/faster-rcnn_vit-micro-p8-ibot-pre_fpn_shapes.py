# python tools/train.py configs/examples/faster-rcnn_vit-micro-p8-ibot-pre_fpn_shapes.py --pretrained work_dirs/quickstart_seed0/epoch_20.pth
#
# 8 images per step; 2,400 images / 8 = 300 steps per epoch, x 4 epochs =
# 1,200. Rates as in the Mask R-CNN example.
#
# Boxes without masks: the Mask R-CNN example without its mask head. Four
# settings belong together: mask_head, mask_roi_extractor, with_mask of both
# pipelines and metric. The same lines work for every config with one mask
# head in configs/benchmarks/detection.
_base_ = 'mask-rcnn_vit-micro-p8-ibot-pre_fpn_shapes.py'

model = dict(roi_head=dict(mask_roi_extractor=None, mask_head=None))

# Annotations need no `segmentation` then.
train_pipeline = [
    dict(step, with_mask=False) if step.type == 'LoadAnnotations' else step
    for step in _base_.train_pipeline
]
test_pipeline = [
    dict(step, with_mask=False) if step.type == 'LoadAnnotations' else step
    for step in _base_.test_pipeline
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(metric='bbox')
test_evaluator = val_evaluator
