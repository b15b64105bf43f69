# Launch: bash tools/dist_test.sh \
#     configs/benchmarks/segmentation/vit-base-p16-ibot-pre_upernet_8xb2-amp-160k_ade20k-512x512-ms.py \
#     CHECKPOINT 8
#
# CHECKPOINT: of a training with vit-base-p16-ibot-pre_upernet_8xb2-amp-160k_ade20k-512x512.py.
# Schedule: none, a test: the mean over the images at 0.5, 0.75, 1, 1.25, 1.5
# and 1.75 times the test size and their mirror images, twelve predictions.
# No result of this configuration is published.
_base_ = 'vit-base-p16-ibot-pre_upernet_8xb2-amp-160k_ade20k-512x512.py'

test_dataloader = dict(dataset=dict(pipeline=_base_.tta_pipeline))
custom_hooks = [
    dict(type='ibot_mm.TestTimeAugHook', tta_cfg=_base_.tta_model),
]
