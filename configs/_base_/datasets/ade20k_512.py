# MMSegmentation's ADE20K with crops of 512.
_base_ = [
    __import__('ibot_mm').config_path('mmseg::_base_/datasets/ade20k.py')
]

# For the multi-scale test: the release scales the test size, where
# MMSegmentation scales the original size of each image.
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
                for r in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
            ],
            [
                dict(type='RandomFlip', prob=0., direction='horizontal'),
                dict(type='RandomFlip', prob=1., direction='horizontal'),
            ],
            [dict(type='LoadAnnotations')],
            [dict(type='PackSegInputs')],
        ])
]
