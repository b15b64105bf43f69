# Launch: python tools/test.py \
#     configs/benchmarks/classification/semi/ibot_vit-small-p16_logistic_in1k-1pct.py \
#     CHECKPOINT
#
# data/imagenet/1percent.txt: list file of SimCLRv2, one image name per line
# (other paths: --cfg-options test_cfg.bank_dataloader.dataset.subset=PATH).
# No training of the network: scikit-learn fits W without bias to the features,
# for lambda = 0.01, 0.1 and 1 (sum of cross-entropies + lambda / 2 ||W||^2);
# the best lambda counts.
# Aim (published, paper): logistic regression 65.9 top-1 with 1% of the labels.
# Not reproduced here.
_base_ = '../logistic/ibot_vit-small-p16_logistic_in1k.py'

test_cfg = dict(
    bank_dataloader=dict(dataset=dict(subset='data/imagenet/1percent.txt')))
