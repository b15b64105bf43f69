# python tools/test.py configs/benchmarks/classification/semi/ibot_vit-small-p16_logistic_in1k-10pct.py CHECKPOINT
#
# scikit-learn fits W without bias to the features, for lambda = 0.01, 0.1
# and 1 (sum of cross-entropies + lambda / 2 ||W||^2); the best lambda
# counts.
# Published (paper, table 12): logistic regression 73.4 with 10% of the
# labels.
#
# data/imagenet/10percent.txt: SimCLRv2's list, one image name per line
# (another path: --cfg-options test_cfg.bank_dataloader.dataset.subset=PATH).
_base_ = '../logistic/ibot_vit-small-p16_logistic_in1k.py'

test_cfg = dict(
    bank_dataloader=dict(dataset=dict(subset='data/imagenet/10percent.txt')))
