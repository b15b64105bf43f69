# python tools/test.py configs/benchmarks/robustness/ibot_vit-small-p16_imagenet-9.py CLASSIFIER
#
# Backgrounds challenge (ImageNet-9): eight variants of images of 9 groups of
# classes. in_to_in9.json of its code, in the folder of the data, maps the
# 1,000 classes; classes outside of the groups count as wrong. The images have
# 224 pixels.
# Published (paper, table 8), in the order of `variants`:
#     iBOT  90.9 89.7 81.7 80.3 53.5 22.7 17.4 96.8  (gap 8.0)
#     DINO  89.2 89.2 80.4 78.3 52.0 21.9 18.4 96.4  (gap 8.8)
_base_ = 'ibot_vit-small-p16_imagenet-a.py'

test_dataloader = dict(
    batch_size=32,
    dataset=dict(
        data_root='data/bg_challenge',
        variants={
            name: f'{name}/val'
            for name in ('only_fg', 'mixed_same', 'mixed_rand', 'mixed_next',
                         'no_fg', 'only_bg_b', 'only_bg_t', 'original')
        },
        classes_from=None,
        pipeline=[_base_.load_image, _base_.pack_inputs]))
test_evaluator = dict(
    _delete_=True, type='ibot_mm.BackgroundAccuracy', mapping=None)
