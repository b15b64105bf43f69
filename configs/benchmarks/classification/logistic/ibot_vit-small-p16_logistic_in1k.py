# python tools/test.py configs/benchmarks/classification/logistic/ibot_vit-small-p16_logistic_in1k.py CHECKPOINT
#
# scikit-learn fits W without bias to the features, for lambda = 0.01, 0.1
# and 1 (sum of cross-entropies + lambda / 2 ||W||^2); the best lambda
# counts. It is very slow on all of ImageNet-1K: the published results are
# for 1% and 10%.
_base_ = [
    '../../../_base_/models/frozen_vit-small-p16.py',
    '../../../_base_/datasets/imagenet_frozen.py',
    '../../../_base_/evaluation_runtime.py',
]

test_cfg = dict(
    protocol=dict(
        type='ibot_mm.LogisticRegression', lambdas=[0.01, 0.1, 1.0]))
