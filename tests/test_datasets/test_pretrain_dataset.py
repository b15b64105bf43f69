"""Data sets, sampler, workers and the report of bad files."""

import logging

import numpy as np
import pytest
import torch
from mmengine.dataset import worker_init_fn
from PIL import Image
from torch.utils.data import DataLoader

from ibot_mm.datasets import (
    PretrainDataset,
    PretrainSampler,
    multi_crop_collate,
)
from ibot_mm.datasets.samplers import SampleIndex
from ibot_mm.engine import BadFileHook
from ibot_mm.structures import merge_views

PIPELINE = [
    dict(type='ibot_mm.LoadImage'),
    dict(
        type='ibot_mm.MultiCrop',
        global_crops=[dict(size=32, scale=(0.3, 1.), num=2)],
        local_crops=[dict(size=16, scale=(0.1, 0.3), num=2)]),
    dict(
        type='ibot_mm.MaskGlobalCrops',
        patch_size=8,
        start_epoch=1,
        generator=dict(
            type='ibot_mm.RandomMaskGenerator', ratio=0.5, ratio_var=0.)),
]


@pytest.fixture()
def folder(tmp_path):
    """Three classes of four images."""
    rng = np.random.default_rng(0)
    for i in range(12):
        path = tmp_path / f'class{i % 3}' / f'{i}.png'
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 50, 3), np.uint8)).save(path)
    return tmp_path


def dataset(folder, **kwargs):
    return PretrainDataset(
        **{
            **dict(
                data_root=str(folder), with_label=False, pipeline=PIPELINE),
            **kwargs
        })


def loader(data, seed=0, workers=0, batch_size=4, **kwargs):
    sampler = PretrainSampler(data, shuffle=True, seed=seed)
    return DataLoader(
        data,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        collate_fn=multi_crop_collate,
        worker_init_fn=lambda w: worker_init_fn(w, workers, 0, seed),
        **kwargs)


def epoch_of(batches, epoch):
    batches.sampler.set_epoch(epoch)
    return list(batches)


def flat(batches):
    return [
        torch.cat([
            *(c.flatten().float() for c in b['inputs'].local_crops),
            *(part.flatten().float() for view in b['inputs'].global_views
              for part in (view.crops, view.mask))
        ]) for b in batches
    ]


def test_class_folders_flat_folder_and_list_file(folder, tmp_path):
    labeled = dataset(folder, with_label=True)
    assert len(labeled) == 12
    assert labeled.metainfo['classes'] == ('class0', 'class1', 'class2')
    nested = dataset(folder)
    assert len(nested) == 12
    single = dataset(folder / 'class1')
    assert len(single) == 4
    listing = tmp_path / 'list.txt'
    listing.write_text('class0/0.png\nclass2/5.png\n')
    listed = dataset(folder, ann_file=str(listing))
    assert len(listed) == 2
    listing.write_text('class0/0.png 0\nclass2/5.png 2\n')
    listed = dataset(folder, ann_file=str(listing), with_label=True)
    assert [listed.get_data_info(i)['gt_label'] for i in (0, 1)] == [0, 2]
    for data in (labeled, nested, single, listed):
        sample = data[SampleIndex(0, epoch=2, seed=0)]
        assert [c.shape for c in sample['global_crops']] == [(32, 32, 3)] * 2


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere'):
        dataset(tmp_path / 'nowhere')


def test_collated_batch(folder):
    batch = epoch_of(loader(dataset(folder)), 1)[0]
    inputs = batch['inputs']
    assert [c.shape for c in inputs.local_crops] == [(2, 4, 3, 16, 16)]
    assert inputs.num_views == 4
    for view in inputs.global_views:
        assert view.crops.shape == (4, 3, 32, 32)
        assert view.crops.dtype == torch.uint8
        assert view.mask.shape == (4, 4, 4)
        assert torch.equal(view.mask_index,
                           view.mask.flatten().nonzero()[:, 0])
        # 8 patches of each of 2 x 4 crops.
        torch.testing.assert_close(view.mask_weight,
                                   torch.full((32, ), 1 / (8 * 8)))


def test_crops_are_ordered_crop_by_crop():
    samples = [
        dict(
            global_crops=[
                np.full((8, 8, 3), 10 * i + g, np.uint8) for g in range(2)
            ],
            local_crops=[
                np.full((4 + 2 * (v // 2), 4, 3), 10 * i + 5 + v, np.uint8)
                for v in range(3)
            ],
            masks=np.arange(8).reshape(2, 2, 2) < 4 + i) for i in range(3)
    ]
    inputs = multi_crop_collate(samples)['inputs']
    first, second = inputs.global_views
    assert first.crops[:, 0, 0, 0].tolist() == [0, 10, 20]
    assert second.crops[:, 0, 0, 0].tolist() == [1, 11, 21]
    assert [c[:, :, 0, 0, 0].tolist() for c in inputs.local_crops
            ] == [[[5, 15, 25], [6, 16, 26]], [[7, 17, 27]]]
    assert first.mask.sum((1, 2)).tolist() == [4, 4, 4]
    assert second.mask.sum((1, 2)).tolist() == [0, 1, 2]
    # 5 of the 6 crops have masks, of 4, 4, 4, 1 and 2 patches.
    torch.testing.assert_close(first.mask_weight, torch.full((12, ), 1 / 24))
    torch.testing.assert_close(second.mask_weight,
                               torch.tensor([1 / 6] + [1 / 12] * 2))
    merged = merge_views(inputs.global_views)
    # Of 6 crops with 4 patches each.
    assert merged.mask_index.tolist() == [*range(12), 16, 20, 21]
    assert merged.crops[:, 0, 0, 0].tolist() == [0, 10, 20, 1, 11, 21]


def test_data_do_not_depend_on_the_number_of_workers(folder):
    data = dataset(folder)
    expected = flat(epoch_of(loader(data), 1))
    for workers in (1, 2):
        batches = loader(data, workers=workers, persistent_workers=True)
        for ours, reference in zip(flat(epoch_of(batches, 1)), expected):
            assert torch.equal(ours, reference)


def test_seeds_epochs_samples_and_ranks_differ(folder):
    data = dataset(folder)

    def crops(index, epoch, seed):
        sample = data[SampleIndex(index, epoch, seed)]
        return np.concatenate([c.ravel() for c in sample['local_crops']])

    base = crops(3, 1, 5)
    assert np.array_equal(base, crops(3, 1, 5))
    for other in ((4, 1, 5), (3, 2, 5), (3, 1, 6)):
        assert not np.array_equal(base, crops(*other))
    # Two ranks read different samples of one epoch, so different draws too.
    parts = []
    for rank in range(2):
        sampler = PretrainSampler(data, shuffle=True, seed=0)
        sampler.rank, sampler.world_size = rank, 2
        sampler.num_samples = 6
        parts.append(set(map(int, sampler)))
    assert not parts[0] & parts[1] and len(parts[0] | parts[1]) == 12


def test_plain_sampler_draws_from_the_workers_own_source(folder):
    data = dataset(folder, pipeline=PIPELINE[:2])
    a, b = (np.concatenate([c.ravel() for c in data[0]['global_crops']])
            for _ in range(2))
    assert not np.array_equal(a, b)


def test_masks_start_late_with_persistent_workers(folder):
    batches = loader(
        dataset(folder), workers=2, persistent_workers=True)
    masked = [
        sum(int(view.mask.sum()) for b in epoch_of(batches, epoch)
            for view in b['inputs'].global_views)
        for epoch in range(3)
    ]
    assert masked == [0, 12 * 2 * 8, 12 * 2 * 8]


def test_bad_files_are_replaced_and_reported(folder):
    bad = folder / 'class1' / '1.png'
    bad.write_bytes(bad.read_bytes()[:200])
    data = dataset(folder)
    batches = epoch_of(loader(data, workers=1), 1)
    assert sum(len(b['img_paths']) for b in batches) == 12
    reported = [entry for b in batches for entry in b['bad_files']]
    # The replacement may by chance be the bad sample again.
    assert {path for path, _ in reported} == {str(bad)}


def test_only_bad_files_stop_with_their_names(folder):
    for path in folder.rglob('*.png'):
        path.write_bytes(b'nothing')
    with pytest.raises(RuntimeError, match='(?s)6 files.*class'):
        dataset(folder, max_refetch=5)[0]


class FakeRunner:
    rank = 0

    def __init__(self, work_dir):
        self.work_dir = str(work_dir)
        self.logger = logging.getLogger('test_bad_files')


def batch_with(bad, size=8):
    return dict(img_paths=[''] * size, bad_files=bad)


def test_hook_names_counts_and_stops(tmp_path, caplog):
    hook = BadFileHook(max_share=0.2, min_images=20)
    runner = FakeRunner(tmp_path)
    with caplog.at_level(logging.WARNING, 'test_bad_files'):
        hook.after_train_iter(runner, 0, batch_with([('a.jpg', 'is empty')]))
        hook.after_train_iter(runner, 1, batch_with([('a.jpg', 'is empty')]))
        hook.after_train(runner)
    # Named only once.
    assert caplog.text.count('a.jpg') == 1
    report = tmp_path / 'bad_files.txt'
    assert report.read_text() == 'a.jpg\tis empty\n'
    # A resumed run does not list it again.
    resumed = BadFileHook()
    resumed.before_train(runner)
    resumed.after_train_iter(
        runner, 0, batch_with([('a.jpg', 'is empty'), ('b.jpg', 'is empty')]))
    resumed.after_train_epoch(runner)
    assert report.read_text() == 'a.jpg\tis empty\nb.jpg\tis empty\n'
    many = [(f'{i}.jpg', 'is empty') for i in range(9)]
    with pytest.raises(RuntimeError, match='(?s)11 of 35 .*a.jpg.*8.jpg'):
        hook.after_train_iter(runner, 2, batch_with(many))


def test_hook_waits_for_enough_images(tmp_path):
    hook = BadFileHook(max_share=0.0, min_images=1000)
    hook.after_train_iter(
        FakeRunner(tmp_path), 0, batch_with([('a.jpg', 'is empty')]))


def test_list_files_bear_blanks_and_name_bad_labels(folder, tmp_path):
    listing = tmp_path / 'list.txt'
    listing.write_text('class0/0.png  \n\n class2/5.png\n')
    data = dataset(folder, ann_file=str(listing))
    assert [data.get_data_info(i)['img_path'] for i in range(len(data))] == [
        str(folder / name) for name in ('class0/0.png', 'class2/5.png')]
    listing.write_text('class0/0.png 0\nclass2/5.png x\n')
    with pytest.raises(ValueError, match=r"list.txt, line 2: .*'x'"):
        dataset(folder, ann_file=str(listing), with_label=True)


def test_a_folder_that_links_to_itself_is_named(folder):
    (folder / 'class1' / 'loop').symlink_to(folder)
    with pytest.raises(ValueError, match='class1/loop'):
        dataset(folder)


def test_files_that_are_not_taken_are_counted(folder, monkeypatch):
    for name in ('a.mov', 'b.MOV', 'README'):
        (folder / name).touch()
    messages = []
    monkeypatch.setattr('ibot_mm.datasets.pretrain.print_log',
                        lambda message, *args: messages.append(message))
    assert len(dataset(folder)) == 12
    assert messages == [f'12 images in "{folder}/"; other files: 2 .mov, '
                        '1 without extension']


def test_avif_and_gif_are_read_where_pillow_can(folder):
    image = Image.open(folder / 'class0' / '0.png')
    image.save(folder / 'class0' / 'x.gif')
    extra = ['x.gif']
    if '.avif' in Image.registered_extensions():
        image.save(folder / 'class0' / 'x.avif')
        extra.append('x.avif')
    data = dataset(folder / 'class0')
    names = [data.get_data_info(i)['img_path'] for i in range(len(data))]
    assert {f'{folder}/class0/{name}' for name in extra} <= set(names)
    for i in range(len(data)):
        assert not data[SampleIndex(i, epoch=0, seed=0)]['bad_files']
