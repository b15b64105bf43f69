"""Tokens of folders of Hugging Face, computed by transformers.

    python in_transformers.py IMAGES.pt IMAGE.png FOLDER ...

Writes ``tokens.pt`` to each folder. This runs in a process of its own:
MMPretrain imports its multimodal models wherever it sees transformers, and
these use names that version 5 has removed.
"""

import sys

import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel

batches, image, *folders = sys.argv[1:]
for folder in folders:
    model, info = AutoModel.from_pretrained(folder, output_loading_info=True)
    unused = [*info['missing_keys'], *info['unexpected_keys']]
    # ViTModel has a pooler, which no pre-training has.
    assert all(name.startswith('pooler.') for name in unused), unused
    options = dict(interpolate_pos_encoding=True) if (
        model.config.model_type == 'vit') else {}
    with torch.no_grad():
        tokens = [model.eval()(pixel_values=x, **options).last_hidden_state
                  for x in torch.load(batches)]
    pixels = AutoImageProcessor.from_pretrained(folder)(
        Image.open(image), return_tensors='pt').pixel_values
    torch.save(dict(tokens=tokens, pixels=pixels, kind=type(model).__name__),
               f'{folder}/tokens.pt')
