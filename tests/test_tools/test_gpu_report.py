"""The report of a GPU, rehearsed without one."""

import json
import sys

import pytest

from tests.helpers.in_process import import_tool
from tests.helpers.launched import run

MACHINE = dict(card='NVIDIA H100 80GB HBM3', torch='2.11.0')
ROW = dict(
    part='step', name='arch=small batch=64 views=none', machine=MACHINE,
    prototypes=8192, dtype='bfloat16', ours=dict(
        images_per_second=1200., seconds=0.0533, kernels=2431,
        kernel_seconds=0.05, launch_seconds=0.02, peak_mib=10240.,
        mfu=0.155))
OUT_OF_MEMORY = dict(
    part='step', name='arch=large batch=256 views=1,5 compile=True',
    machine=MACHINE, reason='out of memory')


@pytest.fixture(scope='module')
def report():
    return import_tool('benchmarks/gpu_report.py')


def test_the_table_has_the_card_and_a_line_per_row():
    lines = import_tool('benchmarks/gpu_report_tables.py').markdown([
        ROW, OUT_OF_MEMORY,
        dict(part='tests', name='pytest -m cuda', machine=MACHINE, passed=20,
             failed=1, failures=['tests/a.py::test_b[x|y]']),
        dict(part='train', name='ViT-S', machine=MACHINE, iterations=300,
             seconds=0.06, images_per_second=1066.7, loss=8.5, data_wait=0.312,
             peak_mib=10240),
    ]).splitlines()
    assert MACHINE['card'] in lines[0]
    rows = [[cell.strip() for cell in line.strip('|').split('|')]
            for line in lines if line.startswith('|')]
    assert rows[2] == [
        'small', '64', 'all', '8192', 'bfloat16', 'default', 'no', '1200',
        '53.3', '2431', '50.0', '20.0', '10.0', '15.5%']
    assert rows[3][:8] == ['large', '256', '1,5', '-', 'bfloat16', 'default',
                           'yes', 'out of memory']
    assert len({len(row) for row in rows[:4]}) == 1
    assert rows[-2][2] == '20 passed, 1 failed; tests/a.py::test_b[x/y]'
    assert rows[-1][2] == ('1067 images/s, 60 ms per iteration, loss 8.5 '
                           'after 300, 10.0 GiB, waited for data 31.2% of the '
                           'time')


@pytest.mark.parametrize('output,reason', [
    ('File "x", line 1\ntorch.OutOfMemoryError: CUDA out of memory. Tried to '
     'allocate 1.00 GiB.\n', 'out of memory'),
    ('Traceback (most recent call last):\n  File "a"\nValueError: no.\n'
     '[W1130] destroy_process_group() was not called\n', 'ValueError: no.'),
    ('Killed\n', 'Killed'),
    ('', 'no output'),
])
def test_reasons(report, output, reason):
    assert report.reason_of(output) == reason


def test_failed_tests_are_counted_and_named():
    found = import_tool('benchmarks/gpu_report_rows.py').read_tests(
        'FAILED tests/a.py::test_b - AssertionError\n'
        'ERROR tests/c.py - ModuleNotFoundError\n'
        '1 failed, 20 passed, 3 skipped, 900 deselected, 1 error in 9.99s\n')
    assert found == dict(failed=1, passed=20, skipped=3, error=1, failures=[
        'tests/a.py::test_b', 'tests/c.py'])


def test_a_command_that_takes_too_long_is_ended_with_its_processes(
        report, monkeypatch):
    monkeypatch.setattr(report, 'GRACE', 0.5)
    code, output = report.run(
        ['bash', '-c', 'echo begun; sleep 600 & wait'], 1., 'cpu')
    assert code is None and output == 'begun\n'


@pytest.mark.slow
def test_a_rehearsal_fills_all_rows_and_continues(tmp_path):
    out, scratch = tmp_path / 'out', tmp_path / 'scratch'
    command = ('bash', 'tools/benchmarks/gpu_report.sh', '--device', 'cpu',
               '--tiny', '--scratch', scratch, '--minutes', '60', '--parts')
    settings = dict(PYTHON=sys.executable, OUT=str(out))
    out = out / 'rehearsal'
    run(*command, 'step', 'loader', **settings)
    rows = [json.loads(line) for line in
            (out / 'rows.jsonl').read_text().splitlines()]
    assert [row['part'] for row in rows] == ['step'] * 3 + ['loader'] * 2
    reasons = ['reason' in row for row in rows]
    assert reasons == [False, False, True, False, False]
    for row in rows[:2]:
        assert row['ours']['images_per_second'] > 0
    output = run(*command, 'loader', 'train', **settings)
    assert '4 of 4 rows' in output and 'workers ...' not in output
    rows = json.loads((out / 'report.json').read_text())
    assert len(rows) == 7
    for row in rows[-2:]:
        assert row['iterations'] == 4 and 0 <= row['data_wait'] <= 1
    lines = (out / 'report.md').read_text().splitlines()
    assert sum(line.startswith('| tiny') for line in lines) == 3
