"""Splits of labeled samples."""

from collections import Counter

from ibot_mm.datasets.image_lists import split_samples

# 10, 3, 2 and 1 images of four classes; one label is not used.
SAMPLES = [(f'{name}/{i}.jpg', label)
           for label, name, count in ((0, 'ant', 10), (1, 'bee', 3),
                                      (3, 'cow', 2), (4, 'dog', 1))
           for i in range(count)]


def test_each_class_is_split():
    """A fifth of 10, 3, 2 and 1 images, rounded, but at least one of two."""
    train, val = split_samples(SAMPLES, 0.2, seed=0)
    assert Counter(label for _, label in val) == {0: 2, 1: 1, 3: 1}
    assert Counter(label for _, label in train) == {0: 8, 1: 2, 3: 1, 4: 1}
    assert sorted(train + val) == sorted(SAMPLES)
    train, val = split_samples(SAMPLES, 0.99, seed=0)
    assert Counter(label for _, label in train) == {0: 1, 1: 1, 3: 1, 4: 1}


def test_the_seed_alone_decides():
    split = split_samples(SAMPLES, 0.3, seed=0)
    assert split_samples(SAMPLES[::-1], 0.3, seed=0) == split
    others = [split_samples(SAMPLES, 0.3, seed)[1] for seed in range(1, 9)]
    assert any(val != split[1] for val in others)
    # Every image of the first class is drawn by some seed.
    assert len({path for val in others for path, label in val
                if label == 0}) > 6
