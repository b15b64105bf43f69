# python tools/train.py configs/examples/ibot_vit-micro-p8_1xb64-10e_continued-shapes.py --pretrained CHECKPOINT
#
# Continues the pre-training of the quickstart's network on other images, as
# docs/continued_pretraining.md explains and measures:
# 1,200 images // 64 = 18 steps per epoch, 180 in all. lr = 5e-4, half of the
# quickstart's, times 0.75 per layer below the heads: 5e-4 x 0.75^5 = 1.2e-4
# for the patch embedding. The heads are new.
_base_ = 'ibot_vit-micro-p8_1xb64-20e_shapes.py'

data_root = 'data/night/imagenet/'
loader = dict(dataset=dict(data_root=data_root))
train_dataloader = loader
val_dataloader = loader

model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='')))

optim_wrapper = dict(
    constructor='ibot_mm.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.75, decay_embeddings=True),
    optimizer=dict(lr=5e-4))
# The backbone starts at two thirds of the warm-up.
param_scheduler = [
    dict(
        _base_.lr_schedule, eta_min_ratio=0.5, warmup=3),
    dict(_base_.weight_decay_schedule, eta_end=0.1)]
default_hooks = dict(
    # Both for the same epochs: heads alone.
    freeze_backbone=dict(type='ibot_mm.FreezeBackboneHook', epochs=2),
    teacher_ema=dict(still_epochs=2),
    runtime_info=dict(interval=18),
    logger=dict(interval=18),
    training_health=dict(interval=18),
    teacher_temperature=dict(warmup_epochs=7))
train_cfg = dict(max_epochs=10, val_interval=10)
val_cfg = dict(bank_dataloader=loader)
