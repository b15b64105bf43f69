"""The process of a protocol: its progress, memory and error."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STEP = re.compile(r'Epoch\(train\) +\[(\d+)\]\[ *(\d+)/(\d+)\]')
# Optionally after torchrun's rank prefix.
ERROR = re.compile(
    r'(\[\w+\]:)? *((?:\w+\.)*\w*(?:Error|Exception|Interrupt): \S.*)')
BATCH = re.compile(r'(?:features|perturbations|video|Epoch\(test\)) +'
                   r'\[ *(\d+)/ *(\d+)\]')


def progress_of(line: str, epochs: int) -> float | None:
    """Progress of a protocol from a line of its log, 0 to 1, or None."""
    match = STEP.search(line)
    if match:
        epoch, step, length = map(int, match.groups())
        return (epoch - 1 + step / length) / epochs
    match = BATCH.search(line)
    return int(match[1]) / int(match[2]) if match else None


def run(line: list[str], log: Path, epochs: int, update) -> tuple[int, int]:
    """Run a protocol and return its exit status and peak memory in MiB."""
    environment = dict(os.environ)
    environment['PYTHON'] = sys.executable  # for dist_train.sh, dist_test.sh
    environment['PYTHONPATH'] = os.pathsep.join(
        filter(None, [str(ROOT), environment.get('PYTHONPATH')]))
    with log.open('w', buffering=1) as file:
        process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=environment)
        for text in process.stdout:
            file.write(text)
            done = progress_of(text, epochs)
            if done is not None:
                update(done)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss // 1024


def failure(log: Path) -> str:
    """Error message of the first process that failed."""
    lines = log.read_text().splitlines() or ['no output']
    errors = [match for match in map(ERROR.match, lines) if match]
    # Causes of an error are printed before it.
    own = [match for match in errors if match[1] == errors[0][1]]
    return own[-1][2] if own else lines[-1]
