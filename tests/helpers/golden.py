"""Access to the reference values computed by the official code."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ibot_mm.checkpoints.official.state_dict import from_official

DATA = Path(__file__).parents[1] / 'data'


@cache
def load(name: str) -> dict[str, np.ndarray]:
    """All arrays of a file."""
    with np.load(DATA / f'{name}.npz', allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def meta(name: str) -> dict:
    """The hyperparameters of the reference run."""
    return json.loads(str(load(name)['meta']))


def tensor(name: str, key: str) -> Tensor:
    """An array as a tensor, float16 converted to float32."""
    value = torch.from_numpy(np.array(load(name)[key]))
    return value.float() if value.dtype == torch.float16 else value


def weights(name: str, prefix: str) -> dict[str, Tensor]:
    """Official parameters below a prefix, with our names."""
    keys = [key for key in load(name) if key.startswith(prefix)]
    return from_official(
        {key[len(prefix):]: tensor(name, key)
         for key in keys})


def model_weights(name: str, prefix: str) -> dict[str, Tensor]:
    """Backbone and head of a model, as ``backbone.*`` and ``neck.*``."""
    return {
        **{
            f'backbone.{k}': v
            for k, v in weights(name, f'{prefix}backbone.').items()
        },
        **{
            f'neck.{k}': v
            for k, v in weights(name, f'{prefix}head.').items()
        }
    }
