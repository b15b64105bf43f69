# MMSegmentation's ADE20K with crops of 512.
_base_ = [
    __import__('ibot_mm').config_path('mmseg::_base_/datasets/ade20k.py')
]

# For tools/test.py --tta. As in the official code, the ratios 0.5 to 1.75 are
# of the test size (in MMSegmentation, of each image's own size), and no image
# gets smaller than the crop: 0.5 and 0.75 become 1.
tta_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(
                    type='Resize',
                    scale=(int(r * 2048), int(r * 512)),
                    keep_ratio=True)
                for r in (1.0, 1.0, 1.0, 1.25, 1.5, 1.75)
            ],
            [
                dict(type='RandomFlip', prob=0., direction='horizontal'),
                dict(type='RandomFlip', prob=1., direction='horizontal'),
            ],
            [dict(type='LoadAnnotations')],
            [dict(type='PackSegInputs')],
        ])
]
