# bash tools/dist_train.sh configs/benchmarks/detection/mask-rcnn_vit-s-p16-ibot-pre_fpn_amp-ms-crop-1x_coco.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x 4 images = 32 per step; 117,266 images with instances / 32 = 3,665
# steps per epoch, x 12 epochs = 43,980. lr 1e-4 for neck and heads, x 0.8 per
# layer of the backbone; warm-up 500 steps, lr x 0.1 after epochs 8 and 11.
# The schedule is that of Cascade Mask R-CNN.
# Published: nothing.
_base_ = [
    '../../_base_/models/mask-rcnn_vit-small-p16.py',
    '../../_base_/datasets/coco-instance_ms-crop.py',
    '../../_base_/schedules/coco_1x_layer-decay.py',
]

train_dataloader = dict(batch_size=4)
auto_scale_lr = dict(base_batch_size=32)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.8))
