# coco_1x.py with layer-wise learning rate decay, for a ViT. The official code
# intends to exempt position embedding and CLS token from weight decay, but
# decays them by mistake; so do we.
_base_ = 'coco_1x.py'

optim_wrapper = dict(
    constructor='ibot_mm.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        _delete_=True, layer_decay_rate=0.75, decay_embeddings=True))
