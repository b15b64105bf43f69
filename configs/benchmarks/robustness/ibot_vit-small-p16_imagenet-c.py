# python tools/test.py configs/benchmarks/robustness/ibot_vit-small-p16_imagenet-c.py CLASSIFIER
#
# ImageNet-C: 15 + 4 corruptions x 5 severities x 50,000 images of 224 pixels,
# in <corruption>/<severity>/<class>/. For a part of them, add
#     --cfg-options test_dataloader.dataset.skip_missing=True
# Published (paper, table 8, lower is better): iBOT 48.1, DINO 51.7. The paper
# calls them mCE; the official code prints mean errors that are not normalized
# by those of AlexNet (`mean_19`).
_base_ = 'ibot_vit-small-p16_imagenet-a.py'

test_dataloader = dict(
    dataset=dict(
        data_root='data/imagenet-c',
        variants=[
            f'{corruption}/{severity}' for corruption in (
                'gaussian_noise', 'shot_noise', 'impulse_noise',
                'defocus_blur', 'glass_blur', 'motion_blur', 'zoom_blur',
                'snow', 'frost', 'fog', 'brightness', 'contrast',
                'elastic_transform', 'pixelate', 'jpeg_compression',
                'speckle_noise', 'gaussian_blur', 'spatter', 'saturate')
            for severity in range(1, 6)
        ],
        pipeline=[_base_.load_image, _base_.center_crop, _base_.pack_inputs]))
test_evaluator = dict(_delete_=True, type='ibot_mm.CorruptionError')
