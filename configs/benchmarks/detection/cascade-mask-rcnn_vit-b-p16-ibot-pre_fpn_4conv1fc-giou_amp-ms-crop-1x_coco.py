# Launch: bash tools/dist_train.sh \
#     configs/benchmarks/detection/cascade-mask-rcnn_vit-b-p16-ibot-pre_fpn_4conv1fc-giou_amp-ms-crop-1x_coco.py \
#     8 --pretrained CHECKPOINT
#
# CHECKPOINT: of a pre-training, of the official code or from
# extract_backbone.py; the teacher is loaded.
# Schedule: 8 GPUs x batch 2 x accumulation 1 = 16 images per step; lr 1e-4
# for the heads, times 0.75 for each layer of the backbone below;
# warm-up 500 iterations, 12 epochs of 7,330 iterations (87,960 in all;
# 117,266 images have instances), rate x 0.1 after epochs 8 and 11.
# Aim (published, paper): box AP 51.2, mask AP 44.2 on COCO val2017 (box AP
# 51.5 from the model pre-trained with random masks). Not reproduced here.
_base_ = 'cascade-mask-rcnn_vit-s-p16-ibot-pre_fpn_4conv1fc-giou_amp-ms-crop-1x_coco.py'

model = dict(
    backbone=dict(arch='base', drop_path_rate=0.2),
    neck=[
        dict(type='ibot_mm.ViTPyramid', in_channels=768),
        dict(
            type='FPN',
            in_channels=[768, 768, 768, 768],
            out_channels=256,
            num_outs=5),
    ])
train_dataloader = dict(batch_size=2)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.75))
auto_scale_lr = dict(base_batch_size=16)
