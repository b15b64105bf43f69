# bash tools/dist_train.sh configs/benchmarks/detection/cascade-mask-rcnn_swin-t-p4-w7-ibot-pre_fpn_4conv1fc-giou_amp-ms-crop-1x_coco.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x 2 images = 16 per step; 117,266 images with instances / 16 = 7,330
# steps per epoch, x 12 epochs = 87,960. lr 1e-4; warm-up 500 steps, lr x 0.1
# after epochs 8 and 11.
# The batch is that of MMDetection's Swin configs; the official code has Swin-S
# and Swin-B only.
# Published: nothing.
_base_ = [
    '../../_base_/models/cascade-mask-rcnn_swin-tiny-w7.py',
    '../../_base_/datasets/coco-instance_ms-crop.py',
    '../../_base_/schedules/coco_1x.py',
]
