"""Compilation of parts of the model."""

from collections.abc import Iterable

import torch
from mmengine.utils import digit_version
from torch import nn


def compile_parts(parts: Iterable[nn.Module],
                  options: dict | str | None) -> None:
    """Compile modules with ``torch.compile``, one by one.

    Args:
        parts: Modules, such as the blocks of a backbone, of which those of
            equal shape share their code.
        options: Arguments of ``torch.compile``; None for no compilation;
            'auto' for its defaults on GPUs with PyTorch 2.5 or later, where
            a module whose forward pass does not compile runs as it is.

    Raises:
        ValueError: The options are another word, or the mode records CUDA
            graphs.
    """
    if options == 'auto':
        if not torch.cuda.is_available() or (
                digit_version(torch.__version__) < digit_version('2.5')):
            return
        torch._dynamo.config.suppress_errors = True
        options = {}
    if options is None:
        return
    if isinstance(options, str):
        raise ValueError(f"compile_blocks must be 'auto', None or a dict, got "
                         f'{options!r}.')
    if options.get('mode') in ('reduce-overhead', 'max-autotune'):
        # A teacher's block would overwrite the input of the next one, and
        # accumulated passes keep outputs longer than a graph allows.
        raise ValueError(
            f'compile_blocks: mode {options["mode"]!r} records CUDA graphs, '
            "which the training step does not support; use 'default' or "
            "'max-autotune-no-cudagraphs'.")
    config = torch._dynamo.config
    # It would cut each block where a bucket of gradients ends.
    config.optimize_ddp = False
    # Blocks share their code, which is compiled for each kind of pass; above
    # the limit (8) PyTorch stops to compile. 2.5 has another name for it.
    name = ('recompile_limit' if hasattr(config, 'recompile_limit') else
            'cache_size_limit')
    setattr(config, name, max(getattr(config, name), 32))
    for part in parts:
        part.compile(**options)
