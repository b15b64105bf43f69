"""Rank correlations of logs made by hand."""

import json

import cv2
import pytest

from tests.helpers.in_process import run_tool

TOOL = 'visualization/plot_quality.py'


def write_log(work_dir, entries):
    folder = work_dir / '20200101_000000' / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('\n'.join(
        json.dumps(dict(entry, step=step))
        for step, entry in enumerate(entries, 1)) + '\n')
    return work_dir


def validation(knn, rank, uniformity):
    return {'knn/top1': knn, 'quality/rankme': rank,
            'quality/uniformity': uniformity,
            'quality/part_match_chance': 2.}


def test_correlations_by_hand(tmp_path):
    """Of n ranks with differences d: 1 - 6 sum d^2 / (n (n^2 - 1))."""
    a = write_log(tmp_path / 'a', [
        dict(loss=1.), validation(10, 1, -1), validation(20, 3, -2),
        validation(30, 2, -3)])
    # In all 6 k-NN ranks 1 2 3 | 4 5 6, RankMe 1 3 2 | 4 5 6, uniformity as
    # k-NN but the last two.
    b = write_log(tmp_path / 'b', [
        validation(40, 4, -4), validation(50, 5, -6), validation(60, 6, -5)])
    out = run_tool(TOOL, a, b, '--out', tmp_path / 'quality.png').out
    head, rankme, uniformity, _ = out.splitlines()
    assert head.split() == ['a', 'b', 'all', 'last', 'of', 'each']
    assert rankme.split() == [
        'quality/rankme', '0.50', '1.00', f'{1 - 12 / 210:.2f}', '-']
    assert uniformity.split() == [
        'quality/uniformity', '1.00', '0.50', f'{1 - 12 / 210:.2f}', '-']
    assert cv2.imread(str(tmp_path / 'quality.png')).shape[1] == round(
        80 * 3.4 * 2)


def test_runs_without_evaluators_are_named(tmp_path):
    run = write_log(tmp_path / 'run', [{'knn/top1': 10.}])
    with pytest.raises(ValueError, match='run.*val_evaluator'):
        run_tool(TOOL, run)
