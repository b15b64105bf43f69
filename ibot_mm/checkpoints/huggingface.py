"""Names and settings of Hugging Face's transformers.

Backbones are ``ViTModel`` of transformers, ``Dinov2Model`` if they have
LayerScale or a gated MLP, and ``Dinov2WithRegistersModel`` if they have
register tokens.
"""

from typing import Any

import torch
from torch import Tensor

from .load import CheckpointError
from .strict import KERNEL

State = dict[str, Tensor]

_EMBEDDINGS = {
    'cls_token': 'embeddings.cls_token',
    'pos_embed': 'embeddings.position_embeddings',
    'register_tokens': 'embeddings.register_tokens',
    'patch_embed.projection.weight':
    'embeddings.patch_embeddings.projection.weight',
    'patch_embed.projection.bias':
    'embeddings.patch_embeddings.projection.bias',
    'ln1.weight': 'layernorm.weight',
    'ln1.bias': 'layernorm.bias',
}
# Modules of a layer; q, k and v are one module in ours.
_ATTENTION = {
    'attn.query': 'attention.attention.query',
    'attn.key': 'attention.attention.key',
    'attn.value': 'attention.attention.value',
    'attn.proj': 'attention.output.dense',
}
_VIT = {
    'ln1': 'layernorm_before',
    'ln2': 'layernorm_after',
    'ffn.layers.0.0': 'intermediate.dense',
    'ffn.layers.1': 'output.dense',
}
_DINOV2 = {
    'ln1': 'norm1',
    'ln2': 'norm2',
    'ffn.layers.0.0': 'mlp.fc1',
    'ffn.layers.1': 'mlp.fc2',
    'ffn.w12': 'mlp.weights_in',
    'ffn.w3': 'mlp.weights_out',
}
_SCALES = {
    'attn.gamma1.weight': 'layer_scale1.lambda1',
    'ffn.gamma2.weight': 'layer_scale2.lambda1',
}
_CLASSES = {'vit': 'ViTModel', 'dinov2': 'Dinov2Model',
            'dinov2_with_registers': 'Dinov2WithRegistersModel'}


def _names(kind: str, depth: int) -> dict[str, str]:
    """Names of transformers by ours, with q, k and v apart."""
    modules = {**_ATTENTION, **(_VIT if kind == 'vit' else _DINOV2)}
    names = dict(_EMBEDDINGS)
    for i in range(depth):
        for ours, theirs in modules.items():
            for end in ('weight', 'bias'):
                names[f'layers.{i}.{ours}.{end}'] = (
                    f'encoder.layer.{i}.{theirs}.{end}')
        for ours, theirs in _SCALES.items():
            names[f'layers.{i}.{ours}'] = f'encoder.layer.{i}.{theirs}'
    return names


def to_huggingface(state: State, num_heads: int, img_size: tuple[int, int],
                   eps: float = 1e-6) -> tuple[dict[str, Any], State]:
    """Config and weights of a backbone for transformers.

    Args:
        state: Weights of ``IBOTViT``, without a prefix and a mask token.
        num_heads: Number of heads.
        img_size: (H, W) in pixels that the position embeddings are for.
        eps: Of the layer norms.

    Returns:
        Content of ``config.json``, and the weights in the names of its class.

    Raises:
        CheckpointError: The backbone has something that transformers' has
            not, or is a Swin transformer.
    """
    depth = sum(name.endswith('.attn.qkv.weight') for name in state)
    width, channels, patch, _ = state[KERNEL].shape
    gated = 'layers.0.ffn.w12.weight' in state
    kind = 'vit'
    if gated or 'layers.0.attn.gamma1.weight' in state:
        kind = 'dinov2'
    if 'register_tokens' in state:
        kind = 'dinov2_with_registers'
    split: State = {}
    for name, value in state.items():
        if '.attn.qkv.' in name:
            for part, rows in zip(('query', 'key', 'value'), value.chunk(3)):
                split[name.replace('qkv', part)] = rows
        else:
            split[name] = value
    names = _names(kind, depth)
    if kind != 'vit':  # has LayerScale
        for name in names:
            if name.endswith(tuple(_SCALES)):
                split.setdefault(name, torch.ones(width))
    unknown = [name for name in split if name not in names]
    if unknown or 'ln1.weight' not in split:
        raise CheckpointError(
            "transformers' ViT has "
            + (f'no place for {", ".join(unknown[:3])}' if unknown else
               'a final norm, which this backbone lacks')
            + ': use extract_backbone.py instead.')
    weights = {names[name]: value.detach().cpu().contiguous().clone()
               for name, value in split.items()}
    hidden = (state['layers.0.ffn.w3.weight'].shape[1] * 3 // 2
              if gated else len(state['layers.0.ffn.layers.0.0.weight']))
    height, length = img_size
    config: dict[str, Any] = dict(
        architectures=[_CLASSES[kind]],
        model_type=kind,
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=num_heads,
        image_size=height if height == length else [height, length],
        patch_size=patch,
        num_channels=channels,
        layer_norm_eps=eps,
        qkv_bias='layers.0.attn.qkv.bias' in state,
        hidden_act='gelu',
        torch_dtype='float32')
    if kind == 'vit':
        config['intermediate_size'] = hidden
    else:
        ratio = hidden / width
        config.update(mlp_ratio=int(ratio) if ratio == int(ratio) else ratio,
                      use_swiglu_ffn=gated)
        weights['embeddings.mask_token'] = torch.zeros(1, width)
    if kind == 'dinov2_with_registers':
        config['num_register_tokens'] = state['register_tokens'].shape[1]
    return config, weights


def from_huggingface(weights: State, config: dict[str, Any]) -> State:
    """Weights of a backbone in our names.

    Args:
        weights: In the names of transformers, also those of a classifier.
        config: Content of ``config.json``.

    Raises:
        CheckpointError: They are of another class.
    """
    kind = config.get('model_type')
    if kind not in _CLASSES:
        raise CheckpointError(f'model_type is "{kind}": backbones of '
                              f'{", ".join(_CLASSES)} can be read.')
    if config.get('hidden_act', 'gelu') != 'gelu':
        raise CheckpointError(f'hidden_act is "{config["hidden_act"]}": only '
                              'networks with GELU can be read.')
    names = {theirs: ours for ours, theirs in
             _names(kind, config['num_hidden_layers']).items()}
    # A classifier has the backbone under this name.
    weights = {name.removeprefix(f'{kind}.'): value
               for name, value in weights.items()}
    state = {ours: weights[theirs] for theirs, ours in names.items()
             if theirs in weights}
    scales = [name for name in state if name.endswith(tuple(_SCALES))]
    if all(bool((state[name] == 1).all()) for name in scales):
        for name in scales:  # to_huggingface has added it
            del state[name]
    for name in [name for name in state if '.attn.query.' in name]:
        state[name.replace('query', 'qkv')] = torch.cat([
            state.pop(name.replace('query', part))
            for part in ('query', 'key', 'value')])
    return state
