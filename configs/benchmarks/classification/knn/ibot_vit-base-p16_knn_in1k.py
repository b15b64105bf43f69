# Launch: python tools/test.py \
#     configs/benchmarks/classification/knn/ibot_vit-base-p16_knn_in1k.py \
#     CHECKPOINT
#
# CHECKPOINT: of a pre-training, of the official code or from
# extract_backbone.py; the teacher is taken. On several GPUs: bash
# tools/dist_test.sh with the same, then their number.
# No training: 1,281,167 images vote on 50,000, for k = 20, 10, 100 and 200 at
# once.
# Aim (published, official release): k-NN 77.1 (block mask) and 77.3 (random
# mask) top-1 on ImageNet-1K. Not reproduced here. Pre-trained on
# ImageNet-22K: 71.1.
_base_ = 'ibot_vit-small-p16_knn_in1k.py'

model = dict(backbone=dict(arch='base'))
