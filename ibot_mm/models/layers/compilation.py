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
            modules that it fails to compile run as they are.

    Raises:
        ValueError: The mode records CUDA graphs.
    """
    if options == 'auto':
        if not torch.cuda.is_available() or (
                digit_version(torch.__version__) < digit_version('2.5')):
            return
        torch._dynamo.config.suppress_errors = True
        options = {}
    if options is None:
        return
    if options.get('mode') in ('reduce-overhead', 'max-autotune'):
        # A teacher's block would overwrite the input of the next one, and
        # accumulated passes keep outputs longer than a graph allows.
        raise ValueError(
            f'compile_blocks: mode {options["mode"]!r} records CUDA graphs, '
            "which the training step does not support; use 'default' or "
            "'max-autotune-no-cudagraphs'.")
    # It would cut each block where a bucket of gradients ends.
    torch._dynamo.config.optimize_ddp = False
    for part in parts:
        part.compile(**options)
