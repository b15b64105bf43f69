"""Peaks of GPUs."""

from typing import NamedTuple


class Card(NamedTuple):
    """Peaks of a GPU, from its data sheet, without sparsity.

    Attributes:
        bandwidth: Bytes per second.
        half: FLOP/s in bfloat16 (float16 where there is none).
        tf32: FLOP/s of float32 matrix products in TF32.
        single: FLOP/s in float32.
    """

    bandwidth: float
    half: float
    tf32: float
    single: float


# By a part of the name that the driver gives; the first that fits counts.
CARDS = {
    'H100 PCIe': Card(2.0e12, 756e12, 378e12, 51e12),
    'H100 NVL': Card(3.9e12, 835e12, 418e12, 60e12),
    'H100': Card(3.35e12, 989e12, 494e12, 67e12),
    'H200 NVL': Card(4.8e12, 835e12, 418e12, 60e12),
    'GH200': Card(4.0e12, 989e12, 494e12, 67e12),
    'H200': Card(4.8e12, 989e12, 494e12, 67e12),
    'A100': Card(2.04e12, 312e12, 156e12, 19.5e12),
    'V100': Card(0.9e12, 125e12, 15.7e12, 15.7e12),
    'L40S': Card(0.864e12, 362e12, 183e12, 91.6e12),
    'RTX 4090': Card(1.01e12, 165e12, 82.6e12, 82.6e12),
}
