# bash tools/dist_train.sh configs/benchmarks/segmentation/vit-base-p16-ibot-pre_upernet_8xb2-amp-160k_ade20k-640x640.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x 2 images = 16 per step; lr 3e-5 for neck and heads, x 0.9 per layer
# of the backbone; warm-up 1,500 iterations, linear to 0 after 160,000.
# Published: nothing; the official code has this config file.
_base_ = [
    '../../_base_/models/upernet_vit-base-p16.py',
    '../../_base_/datasets/ade20k_640.py',
    '../../_base_/schedules/ade20k_160k.py',
]

model = dict(
    data_preprocessor=dict(size=(640, 640)),
    backbone=dict(img_size=640, out_with_norm=False),
    test_cfg=dict(crop_size=(640, 640), stride=(426, 426)))
train_dataloader = dict(batch_size=2)
optim_wrapper = dict(
    optimizer=dict(lr=3e-5), paramwise_cfg=dict(layer_decay_rate=0.9))
