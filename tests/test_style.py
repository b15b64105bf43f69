"""ruff and the import contract, as pre-commit runs them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.cli
def test_ruff():
    run = subprocess.run(
        [sys.executable, '-m', 'ruff', 'check', '--no-cache',
         '--output-format', 'concise'],
        cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.cli
def test_imports_run_one_way():
    lint = 'from importlinter.cli import lint_imports_command as f; f()'
    run = subprocess.run(
        [sys.executable, '-c', lint, '--no-cache'],
        cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
