# Launch: python tools/train.py \
#     configs/ibot/ibot_vit-quickstart-long_1xb64_shapes.py
#
# Schedule: 1 process x batch 64 x accumulation 1 = 64 images a step; learning
# rate 1e-3 as in the quickstart; 37 steps an epoch, 2960 in all: about half an
# hour on 2 cores.
#
# The quickstart with more than three times its steps and a slower teacher.
# Aim: k-NN 10 points above both the untrained network and raw pixels; the
# measured result is in docs/quickstart.md.
_base_ = 'ibot_vit-quickstart_1xb64_shapes.py'

default_hooks = dict(
    teacher_ema=dict(momentum=0.99),
    teacher_temperature=dict(warmup_epochs=15))
train_cfg = dict(max_epochs=80, val_interval=4)
