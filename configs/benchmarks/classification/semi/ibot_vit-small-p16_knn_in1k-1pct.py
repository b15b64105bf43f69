# Launch: python tools/test.py \
#     configs/benchmarks/classification/semi/ibot_vit-small-p16_knn_in1k-1pct.py \
#     CHECKPOINT
#
# data/imagenet/1percent.txt: list file of SimCLRv2, one image name per line
# (other paths: --cfg-options test_cfg.bank_dataloader.dataset.subset=PATH).
# No training: 12,811 images are the bank for 50,000 queries.
# Aim (published, paper): k-NN 62.3 top-1 with 1% of the labels. Not reproduced
# here.
_base_ = '../knn/ibot_vit-small-p16_knn_in1k.py'

test_cfg = dict(
    bank_dataloader=dict(dataset=dict(subset='data/imagenet/1percent.txt')))
