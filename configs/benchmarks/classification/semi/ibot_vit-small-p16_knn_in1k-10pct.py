# python tools/test.py configs/benchmarks/classification/semi/ibot_vit-small-p16_knn_in1k-10pct.py CHECKPOINT
#
# 128,116 images are the bank for 50,000 queries.
# Published (paper, table 12): k-NN 70.1 with 10% of the labels.
#
# data/imagenet/10percent.txt: SimCLRv2's list, one image name per line
# (another path: --cfg-options test_cfg.bank_dataloader.dataset.subset=PATH).
_base_ = '../knn/ibot_vit-small-p16_knn_in1k.py'

test_cfg = dict(
    bank_dataloader=dict(dataset=dict(subset='data/imagenet/10percent.txt')))
