# bash tools/dist_train.sh configs/benchmarks/robustness/ibot_vit-small-p16_part-linear-8xb128-100e_in1k.py 8 --pretrained CHECKPOINT --cfg-options model.num_parts=56
#
# Part-wise linear probe: the mean of the k = `num_parts` patches with the
# highest attention, k in {1, 7, 14, 56, 112, 196}; negative for the lowest.
# 8 GPUs x batch 128 = 1024 images per step; 45 learning rates at once.
# 1,281,167 / 1024 = 1252 steps per epoch, 125,200 in all.
# Published (paper, figure 5 and its text, no table): k = 56 is the best,
# 5.9 points above DINO; k = 1 is 17.9 points above DINO.
_base_ = [
    '../../_base_/models/linear_vit-small-p16.py',
    '../../_base_/datasets/imagenet_linear.py',
    '../../_base_/schedules/linear_sgd.py',
    '../../_base_/evaluation_runtime.py',
]

model = dict(n_last_blocks=1, pooling='parts', num_parts=56)
