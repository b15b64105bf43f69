"""Write the ViT backbone of a checkpoint as a folder of Hugging Face.

    python tools/model_converters/mm_to_hf.py epoch_800.pth my_model

The folder has ``config.json``, ``model.safetensors``,
``preprocessor_config.json`` and a model card, ``README.md``, filled from the
run. ``transformers.AutoModel`` loads it: ViTModel, with LayerScale
Dinov2Model, with register tokens Dinov2WithRegistersModel. Takes every
checkpoint that ``tools/embed.py`` takes. Needs the package safetensors
(requirements/export.txt).
"""

from pathlib import Path
from typing import Any

from vit_source import open_vit, vit_parser

from ibot_mm.apis.embedder import Embedder
from ibot_mm.checkpoints.huggingface import to_huggingface
from ibot_mm.checkpoints.huggingface_folder import (
    image_processor,
    write_folder,
)
from ibot_mm.command_line import report_errors

CARD = '''---
library_name: transformers
tags:
- image-feature-extraction
- self-supervised
- ibot
---

# {title}

{network}, pre-trained without labels by iBOT
([arXiv 2111.07832](https://arxiv.org/abs/2111.07832)) with ibot_mm.

| | |
|---|---|
{rows}

## Use

```python
import torch
from PIL import Image
from transformers import {imports}

{images}
model = AutoModel.from_pretrained("{title}"{options}).eval()
with torch.no_grad():
    tokens = model(pixel_values=pixels).last_hidden_state
cls, patches = tokens[:, 0], tokens[:, {first}:]
```
{evaluation}'''


def training(config: dict[str, Any]) -> dict[str, Any]:
    """What the stored config of a run says about it."""
    loader = config.get('train_dataloader') or {}
    data = loader.get('dataset') or {}
    loop = config.get('train_cfg') or {}
    crops = next((step for step in data.get('pipeline') or []
                  if 'global_crops' in step), {})
    return {
        'data': data.get('data_root'),
        'epochs': loop.get('max_epochs'),
        'images per process and step': loader.get('batch_size'),
        'global crops (pixels)': ', '.join(
            str(crop.get('size', 224)) for crop in crops.get(
                'global_crops', [])),
    }


def model_card(embedder: Embedder, title: str, config: dict[str, Any],
               images: dict | None, source: str, evaluation: str) -> str:
    """Text of ``README.md``."""
    normalization = embedder.normalization
    parameters = sum(p.numel() for p in embedder.backbone.parameters())
    rows = {
        'checkpoint': source,
        'blocks, width, heads': f'{config["num_hidden_layers"]}, '
        f'{config["hidden_size"]}, {config["num_attention_heads"]}',
        'patch size': config['patch_size'],
        'image size': config['image_size'],
        'register tokens': config.get('num_register_tokens'),
        'parameters': f'{parameters / 1e6:.1f} M',
        'normalization (pixel values)':
        f'mean {normalization["mean"]}, std {normalization["std"]}'
        + (', RGB' if normalization['to_rgb'] else ''),
        **training(embedder.config),
    }
    kind = config['model_type']
    return CARD.format(
        title=title, network=config['architectures'][0],
        rows='\n'.join(f'| {key} | {value} |' for key, value in rows.items()
                       if value),
        imports='AutoImageProcessor, AutoModel' if images else 'AutoModel',
        images=(f'processor = AutoImageProcessor.from_pretrained("{title}")\n'
                'pixels = processor(Image.open("image.jpg"), '
                'return_tensors="pt").pixel_values') if images else
        'pixels = ...  # normalized as in the table, (B, C, H, W)',
        options=', add_pooling_layer=False' if kind == 'vit' else '',
        first=1 + config.get('num_register_tokens', 0),
        evaluation=f'\n## Evaluation\n\n{evaluation}' if evaluation else '')


@report_errors
def main() -> None:
    """Read, convert, write."""
    parser = vit_parser(__doc__, 'folder to write')
    parser.add_argument('--evaluation', type=Path, metavar='RESULTS_MD',
                        help='table that tools/evaluate.py has written, for '
                        'the model card')
    args = parser.parse_args()
    embedder = open_vit(args)
    backbone = embedder.backbone
    config, weights = to_huggingface(
        backbone.state_dict(), backbone.blocks[0].attn.num_heads,
        backbone.img_size, backbone.blocks[0].ln1.eps)
    images = image_processor(embedder.pipeline, embedder.normalization)
    table = args.evaluation
    write_folder(args.target, config, weights, images, model_card(
        embedder, args.target.name, config, images,
        Path(args.source).name, table.read_text() if table else ''))
    print(f'wrote {config["architectures"][0]} to {args.target}: '
          f'{", ".join(sorted(p.name for p in args.target.iterdir()))}')


if __name__ == '__main__':
    main()
