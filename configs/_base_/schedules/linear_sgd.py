# Linear protocol: SGD with momentum 0.9 and no weight decay, 100 epochs with a
# total batch of 1024, cosine to 0 by epoch. The peak lr is batch / 256 = 4,
# multiplied by the learning rate of each classifier; the best classifier
# counts.
optim_wrapper = dict(
    type='ibot_mm.PretrainOptimWrapper',
    # Classifiers that diverge must not stop the others.
    skip_nonfinite=False,
    optimizer=dict(type='SGD', lr=4.0, momentum=0.9, weight_decay=0.),
    dtype='float32')
auto_scale_lr = dict(base_batch_size=1024, enable=False)
param_scheduler = [
    dict(type='CosineAnnealingLR', eta_min=0., by_epoch=True),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=1)
