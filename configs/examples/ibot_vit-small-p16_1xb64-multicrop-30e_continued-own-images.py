# python tools/train.py configs/examples/ibot_vit-small-p16_1xb64-multicrop-30e_continued-own-images.py --pretrained CHECKPOINT
#
# Template: continues the pre-training of an existing ViT-S/16 on your own
# images. docs/continued_pretraining.md explains each part.
#
# 1 GPU x batch 64 = 64 images per step; lr = 6e-5, about half of the linear
# rule's 1.25e-4, times 0.75 per layer below the heads: 6e-5 x 0.75^13 = 1.4e-6
# for the patch embedding. For another batch or more GPUs add --auto-scale-lr.
# The heads are new.
_base_ = 'ibot_vit-small-p16_1xb64-multicrop-100e_own-images.py'

# --pretrained sets the checkpoint.
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='')))

optim_wrapper = dict(
    constructor='ibot_mm.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.75, decay_embeddings=True),
    optimizer=dict(lr=6e-5))
# The backbone starts at half of the warm-up.
param_scheduler = [
    dict(_base_.lr_schedule, eta_min_ratio=0.01, warmup=6),
    dict(_base_.weight_decay_schedule, eta_end=0.1)]
default_hooks = dict(
    # Both for the same epochs: heads alone.
    freeze_backbone=dict(type='ibot_mm.FreezeBackboneHook', epochs=3),
    teacher_ema=dict(still_epochs=3),
    teacher_temperature=dict(warmup_epochs=10))
train_cfg = dict(max_epochs=30)
