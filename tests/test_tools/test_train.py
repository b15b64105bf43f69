"""Whole trainings of a tiny network through the command line."""

import json
import re
import sys

import cv2
import numpy as np
import pytest
import tifffile
import torch

from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.engine.hooks.training_health_hook import TrainingHealthError
from ibot_mm.engine.work_dir import WorkDirError
from tests.helpers import launched
from tests.helpers.builders import TINY_MODEL
from tests.helpers.in_process import run_tool
from tests.helpers.launched import losses, tiny_config

CONFIG = 'configs/examples/ibot_vit-micro-p8_1xb64-20e_shapes.py'


@pytest.fixture(scope='module')
def config(shapes, tmp_path_factory):
    """The quickstart on a handful of images, as a user's own config."""
    return tiny_config(tmp_path_factory.mktemp('config') / 'tiny.py', shapes,
                       '''
train_cfg = dict(max_epochs=4, val_interval=2)
default_hooks.update(
    training_health=dict(interval=6),
    checkpoint=dict(interval=2, max_keep_ckpts=-1))
''')


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('work') / 'run'
    run_tool('train.py', config, '--work-dir', work_dir)
    return work_dir


def test_training_logs_and_validates(trained):
    trace = losses(trained)
    assert sorted(trace) == list(range(1, 25))
    assert trace[1]['lr'] == 0  # the first learning rate
    log = next(trained.glob('*/*.log')).read_text()
    for name in ('loss_cls_local', 'loss_cls_global', 'loss_patch',
                 'grad_norm', 'momentum',
                 'weight_decay', 'teacher_temp', 'knn/k5_top1'):
        assert name in log, name
    assert len(re.findall(r'Epoch\(val\) \[[24]\].*knn/top1', log)) == 2
    assert list(trained.glob('*/vis_data/events.out.tfevents*'))


def test_resumed_training_equals_an_undisturbed_one(config, trained,
                                                    tmp_path):
    work_dir = tmp_path / 'run'
    work_dir.mkdir()
    checkpoint = trained / 'epoch_2.pth'
    (work_dir / 'epoch_2.pth').write_bytes(checkpoint.read_bytes())
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_2.pth'))
    run_tool('train.py', config, '--work-dir', work_dir, '--resume')
    expected, resumed = losses(trained), losses(work_dir)
    assert sorted(resumed) == list(range(13, 25))
    for iteration, values in resumed.items():
        assert values == pytest.approx(expected[iteration], rel=1e-6)
    a, b = (torch.load(folder / 'epoch_4.pth', weights_only=False)
            for folder in (trained, work_dir))
    for name, value in a['state_dict'].items():
        assert torch.equal(value, b['state_dict'][name]), name


def test_a_run_goes_through_an_official_file(config, trained, tmp_path):
    """Half the training, to the official code's format and back, the rest."""
    official, source = tmp_path / 'official.pth', tmp_path / 'resume.pth'
    tools = 'model_converters'
    out, _ = run_tool(f'{tools}/mm_to_ibot.py', trained / 'epoch_2.pth',
                      official)
    assert 'optimizer' in out and 'epoch' in out
    out, _ = run_tool(f'{tools}/ibot_to_mm.py', official, source, '--config',
                      config)
    assert '6 iterations an epoch' in out
    assert f'train.py {config} --resume {source}' in out
    work_dir = tmp_path / 'run'
    run_tool('train.py', config, '--work-dir', work_dir, '--resume', source)
    expected, resumed = losses(trained), losses(work_dir)
    assert sorted(resumed) == list(range(13, 25))
    for iteration, values in resumed.items():
        for name in ('lr', 'momentum', 'weight_decay', 'teacher_temp'):
            # Losses in the log are means over iterations before the file, too.
            assert values[name] == pytest.approx(
                expected[iteration][name], rel=1e-6), name
    a, b = (torch.load(folder / 'epoch_4.pth', weights_only=False)
            for folder in (trained, work_dir))
    for name, value in a['state_dict'].items():
        assert torch.equal(value, b['state_dict'][name]), name
    # Without --config: weights, and a word about it.
    out, _ = run_tool(f'{tools}/ibot_to_mm.py', official, source)
    assert 'weights only' in out and '--config' in out
    assert set(torch.load(source)) == {'state_dict', 'meta'}


def test_a_pre_training_from_weights(config, trained, tmp_path):
    """Student and teacher start from the teacher of another run."""
    source = trained / 'epoch_4.pth'
    # The learning rate of the first iteration is 0.
    run_tool('train.py', config, '--work-dir', tmp_path, '--no-validate',
             '--pretrained', source, '--cfg-options',
             'train_dataloader.dataset.indices=8', 'train_cfg.max_epochs=2',
             'default_hooks.checkpoint.interval=1',
             'model.neck.init_cfg.type=Pretrained',
             'model.backbone.img_size=32',
             'model.backbone.init_cfg.resize_positions=True')
    wanted, state = (torch.load(path, weights_only=False)['state_dict']
                     for path in (source, tmp_path / 'epoch_1.pth'))
    for name in ('backbone.cls_token', 'backbone.layers.1.attn.qkv.weight',
                 'neck.mlp.0.weight', 'neck.last_layer.weight_v'):
        for place in ('', 'teacher.'):
            assert torch.equal(state[place + name], wanted[f'teacher.{name}'])
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert (f"IBOTViT: 30 entries of the teacher's backbone in \"{source}\"; "
            'resized: pos_embed 1x37x24 -> 1x17x24; not loaded: mask_token'
            ) in log
    assert f"IBOTNeck: 8 entries of the teacher's neck in \"{source}\"" in log
    assert 'random weights' not in log  # of the teacher, at the end


def test_pretrained_in_a_list(shapes, tmp_path):
    config = tiny_config(tmp_path / 'tiny.py', shapes, """
model['backbone']['init_cfg'] = [
    dict(type='TruncNormal', layer='Linear'), dict(type='Pretrained')]
""")
    with pytest.raises(CheckpointError, match='no checkpoint "nowhere.pth"'):
        run_tool('train.py', config, '--work-dir', tmp_path / 'run',
                 '--pretrained', 'nowhere.pth')


def test_checkpoint_holds_the_teacher_and_the_centres(trained):
    state = torch.load(
        trained / 'epoch_4.pth', weights_only=False)['state_dict']
    assert 'teacher.backbone.pos_embed' in state
    assert 'head.center.value' in state and state['head.center.value'].any()
    student = state['backbone.pos_embed']
    assert not torch.equal(state['teacher.backbone.pos_embed'], student)


def test_test_script_repeats_the_validation(config, trained, tmp_path):
    run_tool('test.py', config, trained / 'epoch_4.pth', '--work-dir',
             tmp_path, '--out', tmp_path / 'metrics.json')
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    log = next(trained.glob('*/*.log')).read_text()
    logged = re.findall(r'Epoch\(val\) \[4\].*knn/top1: ([\d.]+)', log)
    assert metrics['knn/top1'] == pytest.approx(float(logged[0]), abs=1e-3)


def test_report_and_pictures(config, trained, tmp_path):
    out, _ = run_tool('misc/knn_report.py', config, trained / 'epoch_4.pth',
                      '--plot', tmp_path / 'curves.png')
    for row in ('raw pixels', 'untrained network', 'trained teacher'):
        assert re.search(rf'{row} +\d+\.\d +\d+\.\d', out), out
    assert cv2.imread(str(tmp_path / 'curves.png')).shape[1] > 800
    with pytest.raises(ValueError, match=f'{config}.*bank_dataloader'):
        run_tool('misc/knn_report.py', config, trained / 'epoch_4.pth',
                 '--cfg-options', 'val_cfg=None')
    run_tool('visualization/browse_crops.py', config, '--out',
             tmp_path / 'crops.png', '--count', 3)
    picture = cv2.imread(str(tmp_path / 'crops.png'))
    assert picture.shape[0] == 3 * 166 and picture.std() > 30


def test_options_of_the_command_line(config, tmp_path):
    work_dir = tmp_path / 'run'
    run_tool('train.py', config, '--work-dir', work_dir, '--no-validate',
             '--auto-scale-lr', '--amp', '--cfg-options',
             'train_cfg.max_epochs=2', 'optim_wrapper.accumulative_counts=2',
             'auto_scale_lr.base_batch_size=64',
             'optim_wrapper.optimizer.lr=4e-3')
    log = next(work_dir.glob('*/*.log')).read_text()
    assert 'knn/top1' not in log
    assert "dtype='bfloat16'" in log
    # 8 images x 2 micro-batches = 16 of 64: a quarter of the rate, reached
    # at the end of the warm-up of one epoch.
    assert max(v['lr'] for v in losses(work_dir).values()) == (
        pytest.approx(1e-3))


def test_flat_folder_without_labels_and_with_bad_files(config, shapes,
                                                       tmp_path):
    """As docs/own_data.md says: no labels, no validation, bad files named."""
    images = tmp_path / 'my images'
    images.mkdir()
    for path in sorted(shapes.glob('train/*/*.jpg'))[:24]:
        (images / path.name).write_bytes(path.read_bytes())
    bad = sorted(images.iterdir())[5]
    bad.write_bytes(bad.read_bytes()[:-500])
    mine = tmp_path / 'mine.py'
    mine.write_text(f'''
_base_ = ['{config}']
train_dataloader = dict(dataset=dict(
    data_root='{images}', data_prefix='', with_label=False))
train_cfg = dict(max_epochs=2)
val_cfg = None
val_dataloader = None
val_evaluator = None
''')
    work_dir = tmp_path / 'run'
    run_tool('train.py', mine, '--work-dir', work_dir)
    assert sorted(losses(work_dir)) == list(range(1, 7))
    report = (work_dir / 'bad_files.txt').read_text()
    assert report.splitlines()[0].startswith(f'{bad}\tcannot be decoded')
    assert len(report.splitlines()) == 1
    log = next(work_dir.glob('*/*.log')).read_text()
    assert '1 bad files were replaced' in log


@pytest.mark.parametrize('option, error, key', [
    ('train_dataloader.dataset.data_root=/nowhere', FileNotFoundError,
     '/nowhere'),
    ('default_hooks.teacher_temperature.warmup_epochs=99', ValueError,
     'warmup_epochs'),
    ('val_cfg.k=[5000]', ValueError, 'k = 5000'),
])
def test_bad_input_is_named(config, tmp_path, option, error, key):
    with pytest.raises(error, match=key):
        run_tool('train.py', config, '--work-dir', tmp_path / 'run',
                 '--cfg-options', 'train_cfg.max_epochs=2', option)


def test_missing_checkpoint_is_named(config):
    with pytest.raises(CheckpointError, match='"nowhere.pth"'):
        run_tool('test.py', config, 'nowhere.pth')


@pytest.mark.slow
def test_errors_end_the_process_in_one_line(config):
    output = launched.run(sys.executable, 'tools/test.py', config,
                          'nowhere.pth', code=1)
    assert '"nowhere.pth"' in output.splitlines()[-1]
    assert 'Traceback' not in output


def test_the_log_file_has_the_traceback(config, tmp_path):
    with pytest.raises(ValueError, match='k = 5000'):
        run_tool('train.py', config, '--work-dir', tmp_path, '--trial', 1,
                 '--cfg-options', 'val_cfg.k=[5000]')
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'Traceback' in log and 'k = 5000' in log.splitlines()[-1]


@pytest.mark.parametrize('options', [[], ['--verbose']])
def test_a_trial_with_a_short_console(config, tmp_path, options):
    """Two iterations, a validation, nothing saved; the log file has all."""
    console = run_tool('train.py', config, '--work-dir', tmp_path, '--trial',
                       2, *options).out
    log = next(tmp_path.glob('*/*.log')).read_text()
    for dump in ('System environment', 'Config:', 'Hooks will be executed'):
        assert dump in log and (dump in console) == bool(options)
    if not options:
        before = console.partition('Epoch(train)')[0]
        assert '48 images in ' in before and len(before.splitlines()) < 20
    assert sorted(losses(tmp_path)) == [1, 2]
    assert 'knn/top1' in console
    assert not list(tmp_path.glob('*.pth')) and list(tmp_path.glob('*/*.log'))
    assert not (tmp_path / 'pictures').exists()


@pytest.mark.parametrize('options', [['0'], ['2', '--resume']])
def test_a_trial_is_neither_empty_nor_resumed(config, options):
    assert '--trial' in run_tool('train.py', config, '--trial', *options,
                                 code=2).err


def test_print_config():
    out, _ = run_tool('misc/print_config.py', CONFIG)
    assert 'ibot_mm.TeacherEMAHook' in out and 'MultiCrop' in out


@pytest.mark.slow
def test_two_processes_equal_one(config, tmp_path):
    """2 x batch 4 and 1 x batch 8 see the same images at every step."""
    options = ['--no-validate', '--cfg-options', 'train_cfg.max_epochs=2',
               'model.backbone.drop_path_rate=0.', 'randomness.seed=1',
               'default_hooks.teacher_temperature.warmup_epochs=1',
               # A teacher that moves as far as the student; it collapses.
               'default_hooks.teacher_ema.momentum=0.5',
               'default_hooks.training_health.interval=100']
    one, two = tmp_path / 'one', tmp_path / 'two'
    run_tool('train.py', config, '--work-dir', one, *options)
    launched.run('bash', 'tools/dist_train.sh', config, 2, '--work-dir', two,
                 *options, 'train_dataloader.batch_size=4')
    first, second = (
        torch.load(path / 'epoch_2.pth', weights_only=False)['state_dict']
        for path in (one, two))
    assert list(first) == list(second)
    moved = False
    for name, value in first.items():
        # Adam turns the rounding of tiny gradients into steps of up to lr.
        tolerance = 1e-5 if 'center' in name else 2e-3
        torch.testing.assert_close(second[name], value, atol=tolerance,
                                   rtol=1e-3, msg=lambda m, n=name: n + m)
        moved |= (name == 'head.center.value'
                  and float(value.abs().max()) > 1e-3)
    assert moved


@pytest.mark.slow
def test_two_processes_validate_as_one(config, trained, tmp_path):
    one, two = tmp_path / 'one.json', tmp_path / 'two.json'
    args = config, trained / 'epoch_4.pth'
    run_tool('test.py', *args, '--out', one, '--work-dir', tmp_path / '1')
    launched.run('bash', 'tools/dist_test.sh', *args, 2, '--out', two,
                 '--work-dir', tmp_path / '2')
    assert json.loads(one.read_text()) == pytest.approx(
        json.loads(two.read_text()), abs=1e-4)


def test_diverged_training_stops_and_keeps_its_checkpoint(config, tmp_path):
    work_dir = tmp_path / 'run'
    with pytest.raises(TrainingHealthError,
                       match='optim_wrapper.optimizer.lr'):
        run_tool(
            'train.py', config, '--work-dir', work_dir, '--no-validate',
            '--cfg-options', 'default_hooks.checkpoint.interval=1',
            'default_hooks.training_health.interval=3',
            'default_hooks.training_health.samples=1',
            'default_hooks.skipped_steps.max_in_a_row=3',
            'param_scheduler.0.warmup=0', 'optim_wrapper.optimizer.lr=1e30')
    for path in work_dir.glob('*.pth'):
        state = torch.load(path, weights_only=False)['state_dict']
        assert all(torch.isfinite(v).all() for v in state.values())


def test_a_work_dir_is_not_shared_by_runs(config, trained, tmp_path):
    work_dir = tmp_path / 'run'
    work_dir.mkdir()
    (work_dir / 'epoch_7.pth').write_text('of another run')
    arguments = ('train.py', config, '--work-dir', work_dir)
    with pytest.raises(WorkDirError, match='epoch_7.pth'):
        run_tool(*arguments)
    with pytest.raises(WorkDirError, match='epoch_7.pth'):
        run_tool(*arguments, '--resume', trained / 'epoch_2.pth')
    with pytest.raises(ValueError, match='--resume and --fresh-start'):
        run_tool(*arguments, '--resume', '--fresh-start')
    run_tool(*arguments, '--fresh-start', '--no-validate', '--cfg-options',
             'train_cfg.max_epochs=2')
    earlier, = work_dir.glob('earlier_*')
    assert (earlier / 'epoch_7.pth').read_text() == 'of another run'
    assert not (work_dir / 'epoch_7.pth').exists()
    assert (work_dir / 'epoch_2.pth').is_file()


def test_health_reaches_the_log(trained):
    log = json.loads(
        next(trained.glob('*/vis_data/scalars.json')).read_text().splitlines()
        [-2])
    for name in ('entropy_cls', 'entropy_patch', 'kl_cls', 'kl_patch',
                 'agreement_cls', 'agreement_patch', 'prototypes_cls',
                 'prototypes_patch', 'grad_norm', 'momentum', 'teacher_temp',
                 'teacher_patch_temp', 'weight_decay', 'images_per_second',
                 'data_time', 'time', 'memory'):
        assert name in log, name
    assert 0 < log['entropy_cls'] < 3.4658  # log 32
    assert log['kl_cls'] >= 0 and log['images_per_second'] > 0
    assert log['memory'] > 100


def test_six_channels_of_16_bits(tmp_path):
    """The example config on files of its kind: trains, logs, saves."""
    rng = np.random.default_rng(0)
    for i in range(16):
        image = cv2.GaussianBlur(
            rng.integers(0, 65536, (70, 90, 6), dtype=np.uint16), (0, 0), 3)
        tifffile.imwrite(tmp_path / f'{i}.tif', image.transpose(2, 0, 1),
                         photometric='minisblack')
    tifffile.imwrite(tmp_path / 'rgb.tif', image[..., :3],
                     photometric='rgb')
    mine = tmp_path / 'mine.py'
    mine.write_text(f'''
_base_ = [__import__('ibot_mm').config_path(
    'examples/ibot_vit-small-p16_1xb64-multicrop-100e_six-channels.py')]
model = {TINY_MODEL}
train_dataloader = dict(
    batch_size=8, num_workers=0, persistent_workers=False,
    dataset=dict(data_root='{tmp_path}'))
train_cfg = dict(max_epochs=2)
param_scheduler = [dict(type='ibot_mm.WarmupCosineLR', by_epoch=True,
                        convert_to_iter_based=True)]
default_hooks = dict(
    runtime_info=dict(interval=1), logger=dict(interval=1),
    teacher_temperature=dict(warmup_epochs=1))
''')
    work_dir = tmp_path / 'run'
    run_tool('train.py', mine, '--work-dir', work_dir)
    assert sorted(losses(work_dir)) == [1, 2, 3, 4]
    state = torch.load(work_dir / 'epoch_2.pth', weights_only=False)
    assert state['state_dict']['backbone.patch_embed.projection.weight'
                               ].shape == (24, 6, 16, 16)
    report = (work_dir / 'bad_files.txt').read_text()
    assert 'rgb.tif\thas 3 channels' in report


def test_health_curves_are_drawn(trained, tmp_path):
    out = tmp_path / 'health.png'
    run_tool('visualization/plot_health.py', trained, '--out', out)
    picture = cv2.imread(str(out))
    assert picture.shape[1] > 1000 and picture.std() > 10
    with pytest.raises(FileNotFoundError, match=f'"{tmp_path}"'):
        run_tool('visualization/plot_health.py', tmp_path)


def test_backbone_of_a_real_training_checkpoint(trained, tmp_path):
    source = trained / 'epoch_4.pth'
    run_tool('model_converters/extract_backbone.py', source,
             tmp_path / 'b.pth')
    state = torch.load(next(tmp_path.glob('b-*.pth')))['state_dict']
    whole = torch.load(source, weights_only=False)['state_dict']
    assert len(state) > 20
    for name, value in state.items():
        assert torch.equal(value, whole[f'teacher.{name}'])
