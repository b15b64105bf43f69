"""Draw one scene of the shapes data set.

A class is an outline, a texture and a pair of hues together. What is left
free is what crops and color jitter teach a network to ignore (position,
scale, rotation, lighting) and clutter, which is redrawn at every place.
Hues are shared between classes, so mean color says little.
"""

import colorsys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy import ndarray

# Sides of an image in pixels.
SIDE = 160, 320
# Main objects: how many, and their radius as a share of the shorter side.
NUM_MAIN, MAIN_RADIUS = (3, 7), (0.20, 0.38)
# Objects of other classes.
NUM_OTHER, OTHER_RADIUS = (1, 3), (0.07, 0.11)
# Patches of color in the background per 100 x 100 pixels.
CLUTTER_DENSITY = 14
# Length of a texture's period as a share of the object's radius.
PERIOD = 0.55, 0.8
# Lighting: gain, gamma, strength of the shading and color cast.
GAIN, GAMMA, SHADING, CAST = (0.7, 1.2), (0.8, 1.25), 0.4, 0.05
# Hue (part of a turn) may stray this far from the class's own.
HUE_JITTER = 0.02
# Share of images with a crowd of tiny objects, and how many there are.
CROWD_SHARE, CROWD_SIZE = 0.2, (8, 14)

Coords = tuple[ndarray, ndarray]


def _wave(x: ndarray) -> ndarray:
    return np.sin(2 * np.pi * x)


def _cell(x: ndarray) -> ndarray:
    """Position within a period, -0.5 to 0.5."""
    return x - np.floor(x) - 0.5


# Each maps coordinates in periods to a value above 0 where the second color
# of the class shows.
TEXTURES: list[tuple[str, Callable[[ndarray, ndarray], ndarray]]] = [
    ('striped', lambda u, v: _wave(u)),
    ('dotted', lambda u, v: 0.38 - np.hypot(_cell(u), _cell(v))),
    ('ringed', lambda u, v: _wave(np.hypot(u, v))),
    ('checked', lambda u, v: _wave(u / 2) * _wave(v / 2)),
    ('waved', lambda u, v: _wave(u + 0.25 * _wave(v / 2))),
    ('rayed', lambda u, v: np.sin(9 * np.arctan2(v, u))),
    ('gridded', lambda u, v: 0.16 - np.minimum(
        np.abs(_cell(u / 1.3)), np.abs(_cell(v / 1.3)))),
    ('bricked', lambda u, v: 0.4 - np.maximum(
        np.abs(_cell(u / 2 + 0.5 * (np.floor(v) % 2))) * 1.0,
        np.abs(_cell(v)) * 1.1)),
    ('crossed', lambda u, v: 0.1 - np.minimum(
        np.maximum(np.abs(_cell(u / 1.2)) - 0.25, np.abs(_cell(v / 1.2))),
        np.maximum(np.abs(_cell(v / 1.2)) - 0.25, np.abs(_cell(u / 1.2))))),
    ('scaled', lambda u, v: 0.42 - np.abs(
        np.hypot(_cell(u + 0.5 * (np.floor(v) % 2)),
                 _cell(v) + 0.5) - 0.35) * 3),
    ('zigzagged', lambda u, v: _wave(u + np.abs(_cell(v)) * 1.4)),
    ('swirled', lambda u, v: np.sin(
        3 * np.arctan2(v, u) + 2.5 * np.hypot(u, v))),
]

# Outlines in polar form: radius at an angle, in radii.
OUTLINES: list[tuple[str, Callable[[ndarray], ndarray]]] = [
    ('disc', lambda t: np.ones_like(t)),
    ('star', lambda t: 0.72 + 0.28 * _triangle(5 * t)),
    ('square', lambda t: 0.8 / np.maximum(np.abs(np.cos(t)),
                                          np.abs(np.sin(t)))),
    ('flower', lambda t: 0.82 + 0.18 * np.cos(6 * t)),
    ('triangle', lambda t: 0.55 / np.cos(
        (t + np.pi / 3) % (2 * np.pi / 3) - np.pi / 3)),
    ('gear', lambda t: 0.86 + 0.14 * np.sign(np.sin(9 * t))),
    ('cross', lambda t: np.minimum(
        1., 0.38 / np.minimum(np.abs(np.cos(t)), np.abs(np.sin(t))).clip(
            0.05))),
    ('hexagon', lambda t: 0.85 / np.cos(
        (t + np.pi / 6) % (np.pi / 3) - np.pi / 6)),
    ('bean', lambda t: 0.8 + 0.25 * np.cos(t) - 0.15 * np.cos(3 * t)),
    ('leaf', lambda t: 0.35 + 0.65 * np.abs(np.cos(t))**1.5),
    ('drop', lambda t: 0.6 + 0.4 * np.exp(-2 * (1 - np.cos(t)))),
    ('bone', lambda t: 0.55 + 0.4 * np.cos(2 * t)**2 * np.abs(np.cos(t))),
]

# Two colors whose mean is gray: three pairs of opposite hues, further apart
# than the published color jitter (0.1 of a turn) moves them, and black with
# white. Each palette serves three classes.
_PALETTES = [0.0, 1 / 6, 1 / 3, None] * 3
MAX_CLASSES = len(TEXTURES)


def _triangle(t: ndarray) -> ndarray:
    """Triangle wave of period 2 pi, -1 to 1."""
    return 2 / np.pi * np.arcsin(np.cos(t))


def class_name(index: int) -> str:
    """Name of a class, e.g. 'striped_disc'."""
    return f'{TEXTURES[index][0]}_{OUTLINES[index][0]}'


@dataclass
class Instance:
    """An object of a scene, or a crowd of them.

    Attributes:
        label: Class, from 0.
        mask: Visible pixels, bool (H, W).
        is_crowd: Whether it stands for several objects.
    """

    label: int
    mask: ndarray
    is_crowd: bool


class Scene(NamedTuple):
    """A drawn scene.

    Attributes:
        image: uint8 (H, W, 3), BGR.
        label: Class of the main objects.
        instances: All objects, main ones last.
    """

    image: ndarray
    label: int
    instances: list[Instance]


def _colors(rng: np.random.Generator,
             hue: float | None) -> list[ndarray]:
    """Both BGR colors of a palette, 0 to 1; hue None is black and white."""
    if hue is None:
        dark = rng.uniform(0.05, 0.15)
        return [np.float32([value] * 3) for value in (1 - dark, dark)]
    hue += rng.uniform(-HUE_JITTER, HUE_JITTER)
    saturation = rng.uniform(0.8, 1.0)
    return [
        np.float32(colorsys.hsv_to_rgb(h % 1, saturation, 0.9)[::-1])
        for h in (hue, hue + 0.5)
    ]


def _background(rng: np.random.Generator, height: int,
                width: int) -> ndarray:
    """Patches of any color: the same statistics everywhere."""
    canvas = np.full((height, width, 3), 128, np.uint8)
    for _ in range(CLUTTER_DENSITY * height * width // 10000):
        center = rng.integers(0, width), rng.integers(0, height)
        axes = rng.integers(4, 30, 2)
        value = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.1, 0.9),
                                    rng.uniform(0.2, 1.0))
        color = [int(255 * c) for c in value]
        if rng.random() < 0.5:
            cv2.ellipse(canvas, tuple(map(int, center)),
                        tuple(map(int, axes)), float(rng.uniform(0, 180)), 0,
                        360, color, -1, cv2.LINE_AA)
        else:
            corners = rng.uniform(-1, 1, (4, 2)) * axes + center
            cv2.fillPoly(canvas, [corners.astype(np.int32)], color,
                         cv2.LINE_AA)
    return canvas.astype(np.float32) / 255


def _draw_object(rng: np.random.Generator, canvas: ndarray, label: int,
                 center: ndarray, radius: float) -> ndarray:
    """Draw an object on the canvas; returns its mask (H, W), bool."""
    height, width = canvas.shape[:2]
    angle, stretch = rng.uniform(0, 2 * np.pi), rng.uniform(0.85, 1.18)
    t = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    r = OUTLINES[label][1](t) * radius
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = r * np.cos(t) * stretch, r * np.sin(t) / stretch
    outline = np.stack([cos * x - sin * y, sin * x + cos * y], 1) + center
    cover = np.zeros((height, width), np.uint8)
    cv2.fillPoly(cover, [np.round(outline * 8).astype(np.int32)], 255,
                 cv2.LINE_AA, 3)
    left, top, w, h = cv2.boundingRect(cover)
    if not w or not h:
        return cover > 127
    box = slice(top, top + h), slice(left, left + w)
    rows, columns = np.mgrid[box].astype(np.float32)
    period = rng.uniform(*PERIOD) * radius
    u = (cos * (columns - center[0]) + sin * (rows - center[1])) / period
    v = (cos * (rows - center[1]) - sin * (columns - center[0])) / period
    if TEXTURES[label][0] not in ('ringed', 'rayed', 'swirled'):
        u, v = u + rng.random(), v + rng.random()
    # Either color may be the ground, so that they mean gray over objects.
    first, second = rng.permutation(
        _colors(rng, _PALETTES[label]))
    # A soft edge between the colors, about a pixel wide.
    share = np.clip(TEXTURES[label][1](u, v) * 6 + 0.5, 0, 1)[..., None]
    alpha = cover[box][..., None] / np.float32(255)
    canvas[box] += alpha * (first + share * (second - first) - canvas[box])
    return cover > 127


def _light(rng: np.random.Generator, image: ndarray) -> ndarray:
    """Gain, gamma, a directional shade and a color cast; uint8."""
    height, width = image.shape[:2]
    direction = rng.uniform(0, 2 * np.pi)
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None]
    shade = 1 + rng.uniform(0, SHADING) * (
        np.cos(direction) * columns + np.sin(direction) * rows)
    cast = rng.uniform(1 - CAST, 1 + CAST, 3).astype(np.float32)
    image = np.clip(image, 0, 1)**np.float32(rng.uniform(*GAMMA))
    image = image * (shade[..., None] * cast * rng.uniform(*GAIN))
    image += rng.normal(0, 0.015, image.shape).astype(np.float32)
    return np.clip(image * 255, 0, 255).astype(np.uint8)


def _plan(rng: np.random.Generator, label: int, num_classes: int,
          size: ndarray) -> list[tuple[int, ndarray, float, int]]:
    """Objects from back to front: (label, center, radius, group)."""
    short = size.min()
    plan, group = [], 0
    others = [c for c in range(num_classes) if c != label] or [label]
    if rng.random() < CROWD_SHARE:
        kind = int(rng.choice(others))
        middle = rng.uniform(0.2, 0.8, 2) * size
        for _ in range(rng.integers(*CROWD_SIZE, endpoint=True)):
            plan.append((kind, middle + rng.normal(0, 0.1, 2) * short,
                         0.035 * short, group))
        group += 1
    for _ in range(rng.integers(*NUM_OTHER, endpoint=True)):
        plan.append((int(rng.choice(others)), rng.uniform(0, 1, 2) * size,
                     rng.uniform(*OTHER_RADIUS) * short, group))
        group += 1
    for _ in range(rng.integers(*NUM_MAIN, endpoint=True)):
        plan.append((label, rng.uniform(0.05, 0.95, 2) * size,
                     rng.uniform(*MAIN_RADIUS) * short, group))
        group += 1
    return plan


def draw_single(seed: int, split: int, index: int, num_classes: int,
                side: int, radius: tuple[float, float]
                ) -> tuple[ndarray, ndarray, ndarray]:
    """A square scene of one object near the middle, with and without it.

    Args:
        seed: As in :func:`draw_scene`.
        split: As in :func:`draw_scene`.
        index: As in :func:`draw_scene`.
        num_classes: As in :func:`draw_scene`.
        side: Side in pixels.
        radius: Least and largest radius as a share of the side.

    Returns:
        The scene and its background alone, uint8 (side, side, 3) BGR, and the
        mask of the object, bool (side, side).
    """
    rng = np.random.default_rng([seed, split, index])
    canvas = _background(rng, side, side)
    background = canvas.copy()
    mask = _draw_object(
        rng, canvas, index % num_classes, rng.uniform(0.4, 0.6, 2) * side,
        rng.uniform(*radius) * side)
    image, background = (
        _light(np.random.default_rng([seed, split, index, 1]), picture)
        for picture in (canvas, background))
    return image, background, mask


def draw_scene(seed: int, split: int, index: int, num_classes: int) -> Scene:
    """Scene ``index`` of a split; depends on nothing but its arguments.

    Args:
        seed: Seed of the data set.
        split: Number of the split.
        index: Number of the scene; its class is ``index % num_classes``.
        num_classes: Number of classes.

    Returns:
        The scene.
    """
    rng = np.random.default_rng([seed, split, index])
    label = index % num_classes
    height, width = rng.integers(*SIDE, size=2, endpoint=True)
    canvas = _background(rng, height, width)
    plan = _plan(rng, label, num_classes, np.array([width, height]))
    groups = np.full((height, width), -1, np.int16)
    for kind, center, radius, group in plan:
        groups[_draw_object(rng, canvas, kind, center, radius)] = group
    instances = []
    members = [group for *_, group in plan]
    for kind, _, _, group in {p[-1]: p for p in plan}.values():
        mask = groups == group
        if mask.any():
            instances.append(Instance(kind, mask, members.count(group) > 1))
    return Scene(_light(rng, canvas), label, instances)


def draw_video(seed: int, split: int, index: int, num_frames: int,
               size: tuple[int, int]) -> Iterator[tuple[ndarray, ndarray]]:
    """Two objects that move, and change in size, before a panning camera.

    Args:
        seed: As in :func:`draw_scene`.
        split: As in :func:`draw_scene`.
        index: Number of the video.
        num_frames: Number of frames.
        size: (H, W) in pixels.

    Yields:
        A frame, uint8 (H, W, 3) BGR, and the numbers of its objects, uint8
        (H, W), 0 for background.
    """
    rng = np.random.default_rng([seed, split, index])
    height, width = size
    pan = height // 4
    wide = _background(rng, height, width + pan)
    kinds = rng.choice(MAX_CLASSES, 2, replace=False)
    # One object moves to the right, one, in front of it, to the left.
    starts, stops = rng.uniform(0.2, 0.35, 2), rng.uniform(0.65, 0.8, 2)
    rows, radii = rng.uniform(0.35, 0.65, (2, 2)), rng.uniform(
        0.18, 0.26, 2) * height
    for time in np.linspace(0, 1, num_frames):
        left = round(pan * time)
        canvas = wide[:, left:left + width].copy()
        labels = np.zeros(size, np.uint8)
        for i, kind in enumerate(kinds):
            x = starts[i] + time * (stops[i] - starts[i])
            y = rows[i, 0] + time * (rows[i, 1] - rows[i, 0])
            center = np.array([width * (1 - x if i else x), height * y])
            look = np.random.default_rng([seed, split, index, i])
            labels[_draw_object(look, canvas, int(kind), center,
                                radii[i] * (1 + 0.3 * time))] = i + 1
        light = np.random.default_rng([seed, split, index, 2])
        yield _light(light, canvas), labels
