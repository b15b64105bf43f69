"""Shared settings of the tests."""

import logging
import os

# Adam amplifies rounding: the reference values were written with AVX2 kernels,
# and those of AVX-512 round in another order.
os.environ.setdefault('ATEN_CPU_CAPABILITY', 'avx2')

import cv2
import pytest
import torch


@pytest.fixture(autouse=True, scope='session')
def quiet():
    """MMEngine logs every parameter it initializes; keep failures readable."""
    logging.getLogger('mmengine').setLevel(logging.WARNING)


@pytest.fixture(autouse=True, scope='session')
def single_threaded_opencv():
    """Its thread pool does not survive the forks of data loaders."""
    cv2.setNumThreads(0)


@pytest.fixture(autouse=True)
def seeded():
    """Every test draws the same numbers alone and in company."""
    torch.manual_seed(0)
