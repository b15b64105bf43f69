"""Convert the ViT backbone of a checkpoint to timm's names, or to DINO's.

    python tools/model_converters/mm_to_timm.py epoch_800.pth vit.pth
    python tools/model_converters/mm_to_timm.py epoch_800.pth dino.pth \
        --style dino

Takes the teacher, or with ``--network student`` the student without its mask
token, of a pre-training checkpoint; or the backbone of a file that
``extract_backbone.py`` wrote. ``--style timm`` writes a plain state dict for
``timm.models.vision_transformer.VisionTransformer`` and prints the call of
``timm.create_model`` that loads it, and how to normalize images;
``--style dino`` writes the file that DINO's evaluation scripts read with
``--checkpoint_key teacher``, whatever the network.
"""

import argparse
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ibot_mm.apis.preparation import IMAGENET
from ibot_mm.checkpoints.architecture import backbone_config
from ibot_mm.checkpoints.load import CheckpointError, load_checkpoint
from ibot_mm.checkpoints.official.state_dict import (
    State,
    add_prefix,
    strip_prefix,
)
from ibot_mm.checkpoints.pretrained import select_network
from ibot_mm.checkpoints.stored_config import hidden_settings, stored_config
from ibot_mm.checkpoints.strict import KERNEL, load_strict
from ibot_mm.checkpoints.timm import create_model_call, to_timm
from ibot_mm.command_line import CommandParser, report_errors
from ibot_mm.registry import MODELS


def shape_of(cfg: Config, state: State, source: str) -> dict[str, Any]:
    """Heads and image size of the backbone that a config builds.

    Raises:
        CheckpointError: It is not that of the checkpoint.
    """
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    backbone = MODELS.build({**cfg.model.backbone, 'with_mask_token': False,
                             'init_cfg': None})
    load_strict(backbone, dict(state), source)
    return dict(num_heads=backbone.layers[0].attn.num_heads,
                img_size=backbone.img_size)


def preparation(cfg: Config | None, channels: int) -> tuple[dict, str]:
    """Options for timm and words about the normalization of images."""
    images = IMAGENET
    source = "ImageNet's, which is assumed (--config tells)"
    if cfg is not None:
        images = cfg.model.get('data_preprocessor') or cfg.get(
            'data_preprocessor') or {}
        source = 'as in the config'
    elif channels != 3:
        return {}, f'the normalization of {channels} channels is in its config'
    mean, std = images.get('mean') or [0.], images.get('std') or [1.]
    options = {}
    if len(mean) == 3:
        # timm's values for these names are 0.5.
        mean, std = (tuple(round(x / 255, 4) for x in xs)
                     for xs in (mean, std))
        options['pretrained_cfg_overlay'] = dict(mean=mean, std=std)
        source += (f', for {"RGB" if images.get("to_rgb") else "BGR"} from 0 '
                   "to 1; timm's own of this name is 0.5")
    return options, (f'normalize images with mean {tuple(mean)} and std '
                     f'{tuple(std)}: {source}')


def how_to_load(state: State, path: str, cfg: Config | None,
                shape: dict[str, Any]) -> str:
    """Code that loads the file with timm, and how to prepare images."""
    options, words = preparation(cfg, state[KERNEL].shape[1])
    try:
        call = create_model_call(backbone_config(state, **shape), path,
                                 **options)
    except CheckpointError as error:
        call = (f'# no call of timm.create_model: {error} Give --config '
                'CONFIG, that of the pre-training.')
    return f'{call}\n# the model returns CLS tokens; {words}'


@report_errors
def main() -> None:
    """Read, extract, convert, write."""
    parser = CommandParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='checkpoint of a pre-training, or '
                        'what extract_backbone.py wrote')
    parser.add_argument('target', help='file to write')
    parser.add_argument('--network', default='teacher',
                        choices=['teacher', 'student'],
                        help='of a pre-training (default: teacher)')
    parser.add_argument('--style', default='timm', choices=['timm', 'dino'])
    parser.add_argument('--config', help='of the pre-training: number of '
                        'heads, image size and normalization (default: '
                        'the config in the checkpoint)')
    args = parser.parse_args()
    content = load_checkpoint(args.source)
    state = strip_prefix(select_network(content, args.network), 'backbone.')
    weights = to_timm(state)
    if args.config:
        cfg = Config.fromfile(args.config)
        shape = shape_of(cfg, state, args.source)
    else:
        stored = stored_config(content)
        cfg = Config(stored) if 'model' in stored else None
        shape = {key: value for key, value in hidden_settings(stored).items()
                 if key in ('num_heads', 'img_size')}
        if isinstance(shape.get('img_size'), int):
            shape['img_size'] = (shape['img_size'], ) * 2
    torch.save(
        dict(teacher=add_prefix(weights, 'backbone.'))
        if args.style == 'dino' else weights, args.target)
    print(f'wrote {len(weights)} entries to {args.target}')
    if args.style == 'timm':
        print(how_to_load(state, args.target, cfg, shape))


if __name__ == '__main__':
    main()
