# bash tools/dist_train.sh configs/benchmarks/segmentation/vit-small-p16-ibot-pre_linear_8xb2-amp-160k_ade20k-512x512.py 8 --pretrained CHECKPOINT
#
# 8 GPUs x 2 images = 16 per step; lr 3e-5 for the linear head, which alone is
# trained; warm-up 1,500 iterations, linear to 0 after 160,000.
# Published: nothing; the official code has this config file.
_base_ = [
    '../../_base_/models/linear-seg_vit-small-p16.py',
    '../../_base_/datasets/ade20k_512.py',
    '../../_base_/schedules/ade20k_160k.py',
]

train_dataloader = dict(batch_size=2)
optim_wrapper = dict(
    optimizer=dict(lr=3e-5), paramwise_cfg=dict(layer_decay_rate=1.0))
