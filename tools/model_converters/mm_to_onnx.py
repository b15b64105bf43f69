"""Write the ViT backbone of a checkpoint as an ONNX file.

    python tools/model_converters/mm_to_onnx.py epoch_800.pth vit.onnx

Input: ``images``, normalized, (B, C, H, W) with any B, H and W. Outputs:
``cls`` (B, D) and ``patches`` (B, h, w, D), after the final norm, on the grid
of ceil(H / patch) x ceil(W / patch). The file is written after ONNX Runtime
has given the same values as PyTorch for several batches and sizes. Takes every
checkpoint that ``tools/embed.py`` takes. Needs the packages of
requirements/export.txt.
"""

import io
import warnings
from inspect import signature

import torch
from vit_source import open_vit, vit_parser

from ibot_mm.command_line import report_errors
from ibot_mm.dependencies import import_optional
from ibot_mm.models import IBOTViT
from ibot_mm.models.backbones.traceable_vit import TraceableViT


def export(backbone: IBOTViT, opset: int) -> bytes:
    """The content of an ONNX file."""
    onnx = import_optional('onnx', 'the export')
    size, file = backbone.img_size, io.BytesIO()
    channels = backbone.patch_embed.projection.in_channels
    # The exporter by tracing, which newer versions warn about; 2.1 has no
    # other for dynamic sizes.
    options = dict(dynamo=False) if 'dynamo' in signature(
        torch.onnx.export).parameters else {}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        torch.onnx.export(
            TraceableViT(backbone).eval(),
            (torch.randn(2, channels, *size), ), file, opset_version=opset,
            input_names=['images'], output_names=['cls', 'patches'],
            dynamic_axes=dict(
                images={0: 'batch', 2: 'height', 3: 'width'},
                cls={0: 'batch'},
                patches={0: 'batch', 1: 'rows', 2: 'columns'}), **options)
    onnx.checker.check_model(onnx.load_from_string(file.getvalue()))
    return file.getvalue()


@torch.no_grad()
def largest_difference(content: bytes, backbone: IBOTViT) -> dict[str, float]:
    """Between ONNX Runtime and PyTorch, by shape of the images."""
    runtime = import_optional('onnxruntime', 'the comparison')
    session = runtime.InferenceSession(
        content, providers=['CPUExecutionProvider'])
    projection = backbone.patch_embed.projection
    (height, width), patch = backbone.img_size, projection.kernel_size[0]
    result = {}
    for batch, size in ((1, (height, width)), (3, (height, width)),
                        (2, (height + 2 * patch, width)),
                        (1, (height, 2 * width + patch)),
                        (2, (height - patch, width + 3))):
        x = torch.randn(batch, projection.in_channels, *size)
        found = session.run(None, dict(images=x.numpy()))
        cls, patches = backbone.extract_tokens(x)
        expected = cls, patches.view_as(torch.from_numpy(found[1]))
        result[f'{batch}x{size[0]}x{size[1]}'] = max(
            float((torch.from_numpy(a) - b).abs().max())
            for a, b in zip(found, expected))
    return result


@report_errors
def main() -> None:
    """Read, export, compare, write."""
    parser = vit_parser(__doc__, 'file to write')
    parser.add_argument('--opset', type=int, default=17,
                        help='version of the operators (default: 17)')
    parser.add_argument('--tolerance', type=float, default=1e-3,
                        help='largest difference to PyTorch for which the '
                        'file is written (default: 1e-3)')
    args = parser.parse_args()
    embedder = open_vit(args)
    content = export(embedder.backbone, args.opset)
    differences = largest_difference(content, embedder.backbone)
    for shape, difference in differences.items():
        print(f'{shape}: largest difference to PyTorch {difference:.1e}')
    if not max(differences.values()) <= args.tolerance:
        raise ValueError(
            f'ONNX Runtime differs from PyTorch by more than {args.tolerance}'
            f': "{args.target}" is not written (--tolerance).')
    args.target.write_bytes(content)
    print(f'wrote {args.target}: images (B, {embedder.channels}, H, W), '
          f'normalized with mean {embedder.normalization["mean"]} and std '
          f'{embedder.normalization["std"]}')


if __name__ == '__main__':
    main()
