# Student and teacher ViT-S/16 with the published head: 3 layers, hidden 2048,
# bottleneck 256, 8192 prototypes shared by CLS and patch tokens.
model = dict(
    type='ibot_mm.IBOT',
    # All views of a kind per pass on a GPU with room for it. Elsewhere (1, 5),
    # one global or half of the local views: activations of a quarter of the
    # tokens, without additional FLOPs.
    views_per_pass='auto',
    data_preprocessor=dict(
        type='ibot_mm.MultiCropDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True),
    backbone=dict(
        type='ibot_mm.IBOTViT',
        arch='small',
        img_size=224,
        patch_size=16,
        drop_path_rate=0.1,
        with_mask_token=True),
    neck=dict(
        type='ibot_mm.IBOTNeck',
        in_channels=384,
        hidden_channels=2048,
        bottleneck_channels=256,
        num_layers=3,
        num_prototypes=8192,
        shared_head=True,
        norm_last_layer=False),
    head=dict(
        type='ibot_mm.IBOTHead',
        num_prototypes=8192,
        student_temp=0.1,
        center_momentum=0.9,
        patch_center_momentum=0.9,
        loss_weight_cls=1.0,
        loss_weight_patch=1.0))
