# coco_3x.py with layer-wise learning rate decay, as coco_1x_layer-decay.py.
_base_ = 'coco_3x.py'

optim_wrapper = dict(
    constructor='ibot_mm.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        _delete_=True, layer_decay_rate=0.75, decay_embeddings=True))
