# Launch: python tools/test.py \
#     configs/benchmarks/classification/knn/ibot_swin-tiny-w14_knn_in1k.py \
#     CHECKPOINT
#
# CHECKPOINT: of a pre-training, of the official code or from
# extract_backbone.py; the teacher is taken. On several GPUs: bash
# tools/dist_test.sh with the same, then their number.
# No training: 1,281,167 images vote on 50,000, for k = 20, 10, 100 and 200 at
# once.
# Aim (published, official release): k-NN 76.2 top-1 on ImageNet-1K. Not
# reproduced here.
_base_ = 'ibot_swin-tiny-w7_knn_in1k.py'

model = dict(backbone=dict(window_size=14))
