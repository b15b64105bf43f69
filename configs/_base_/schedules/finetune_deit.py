# Fine-tuning for transfer and semi-supervised learning (release, a DeiT
# recipe): AdamW without layer decay, lr x batch / 512, warm-up 5 epochs from
# 1e-6, cosine to 1e-5 (or to the peak if that is lower), by epoch.
#
# Three differences from the release are deliberate. It also decays the CLS
# token and the position embeddings, because its ViT exempts none
# (optim_wrapper.paramwise_cfg=dict(decay_embeddings=True) does the same), its
# schedule lags one epoch, and it reports the best epoch on the validation set
# (kept here as best_*.pth, next to the last one).
optim_wrapper = dict(
    type='ibot_mm.PretrainOptimWrapper',
    constructor='ibot_mm.LayerDecayOptimWrapperConstructor',
    optimizer=dict(
        type='AdamW', lr=1.125e-5, betas=(0.9, 0.999), weight_decay=0.05),
    dtype='bfloat16',
    accumulative_counts=1)
auto_scale_lr = dict(base_batch_size=768, enable=False)
param_scheduler = [
    dict(
        type='ibot_mm.EpochCosineLR',
        eta_min=1e-5,
        warmup=5,
        warmup_start=1e-6,
        by_epoch=True),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1000, val_interval=10)
