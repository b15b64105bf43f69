# Launch: python tools/test.py \
#     configs/benchmarks/classification/knn/ibot_vit-large-p16_knn_in1k.py \
#     CHECKPOINT
#
# No training: 1,281,167 images are the bank for 50,000 queries, for k = 20,
# 10, 100 and 200.
# Aim (published, official code): k-NN 78.0 (block mask) and 77.7 (random mask)
# top-1 on ImageNet-1K. Not reproduced here. Pre-trained on ImageNet-22K: 72.9.
_base_ = 'ibot_vit-small-p16_knn_in1k.py'

model = dict(backbone=dict(arch='large'))
