# What the detectors on iBOT backbones change in MMDetection's configs. Those
# files set the same keys, so these are variables that the files in
# configs/benchmarks/detection use as `_base_.<name>`. In a printed config the
# unused variables have no effect.

# Pyramid x4, x2, x1, x1/2 from four layers without the final norm, then an
# FPN (official release). with_cp recomputes activations.
vit_model = dict(
    backbone=dict(
        _delete_=True,
        type='ibot_mm.IBOTViT',
        arch='small',
        img_size=224,
        patch_size=16,
        drop_path_rate=0.1,
        out_type='featmap',
        out_indices=(3, 5, 7, 11),
        out_with_norm=False,
        with_cp=True,
        init_cfg=dict(type='Pretrained', checkpoint='')),
    neck=[
        dict(type='ibot_mm.ViTPyramid', in_channels=384),
        dict(
            type='FPN',
            in_channels=[384, 384, 384, 384],
            out_channels=256,
            num_outs=5),
    ])
# img_size lays out the windows: at 800 the last stage shifts them too.
swin_model = dict(
    backbone=dict(
        _delete_=True,
        type='ibot_mm.IBOTSwin',
        arch='tiny',
        img_size=800,
        window_size=7,
        drop_path_rate=0.2,
        out_indices=(0, 1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint='')),
    neck=dict(in_channels=[96, 192, 384, 768]))

# AdamW without clipping. The release means to exempt position embedding and
# CLS token from weight decay, but by a slip decays them: so do we. float16,
# because mmcv's RoIAlign has no bfloat16.
adamw = dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05)
vit_optim_wrapper = dict(
    _delete_=True,
    type='ibot_mm.PretrainOptimWrapper',
    constructor='ibot_mm.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.8, decay_embeddings=True),
    optimizer=adamw,
    dtype='float16')
swin_optim_wrapper = dict(
    _delete_=True,
    type='ibot_mm.PretrainOptimWrapper',
    paramwise_cfg=dict(
        custom_keys={
            'norm': dict(decay_mult=0.),
            'relative_position_bias_table': dict(decay_mult=0.),
        }),
    optimizer=adamw,
    dtype='float16')

# Warm-up of 500 iterations from 0.001 of the rate; the release drops it after
# epochs 8 and 11, the paper says 9 and 11.
warmup = dict(
    type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500)
schedule_1x = [
    warmup,
    dict(
        type='MultiStepLR',
        begin=0,
        end=12,
        by_epoch=True,
        milestones=[8, 11],
        gamma=0.1),
]
schedule_3x = [
    warmup,
    dict(
        type='MultiStepLR',
        begin=0,
        end=36,
        by_epoch=True,
        milestones=[27, 33],
        gamma=0.1),
]

# Errors in data and checkpoints are reported before the first iteration;
# `data_check=dict(checks=())` switches the check of the data off.
hooks = dict(
    strict_load=dict(type='ibot_mm.StrictLoadHook'),
    data_check=dict(type='ibot_mm.DataCheckHook'),
    skipped_steps=dict(type='ibot_mm.SkippedStepHook'),
    checkpoint=dict(
        type='ibot_mm.SafeCheckpointHook',
        max_keep_ckpts=2,
        save_best='auto'))
