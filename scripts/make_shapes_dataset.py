#!/usr/bin/env python3
"""Renders a data set of small pictures of sixteen shapes, hard enough that a network errs.

usage: make_shapes_dataset.py OUT [--train N] [--test N]

Writes to OUT
  train.npz, test.npz   `images`, uint8 [N, 32, 32, 3] RGB, and `labels`, uint8 [N]
  test/                 the test pictures, `shape_NUMBER_CLASS.png`
  validation/           2,000 others, to choose with
  calibration/          256 of the training pictures, to calibrate with
  classes.txt           the classes' names, a line each

A picture holds one shape, turned, sheared and scaled at random, striped, in front of a cluttered
background that it may hardly differ from, partly covered, blurred and noisy. Training, test
and validation pictures come from different random numbers. The seeds are fixed; needs NumPy only.
"""

import argparse
import struct
import zlib
from pathlib import Path

import numpy as np

SIDE = 32
# Samples along a pixel's side.
FINE = 3
BATCH = 200
CALIBRATION, VALIDATION = 256, 2000
SEEDS = {"train": 61, "test": 62, "validation": 63}
CLASSES = """disk ring square triangle pentagon pair star plus crescent heart arrow half-disk
ellipse corner tee pie""".split()


def polygon(x, y, corners):
    """Inside of a regular polygon around the unit circle's centre."""
    angle = np.arctan2(y, x) % (2 * np.pi / corners) - np.pi / corners
    return np.hypot(x, y) * np.cos(angle) < np.cos(np.pi / corners)


def star(x, y):
    angle = np.abs(np.arctan2(y, x) % (2 * np.pi / 5) - np.pi / 5)
    # A straight edge from the tip, at radius 1, to the notch, at radius 0.42.
    tip, notch = np.pi / 5, 0.42
    along_x, along_y = np.cos(tip) - notch, np.sin(tip)
    radius = np.hypot(x, y)
    return along_x * radius * np.sin(angle) - along_y * (radius * np.cos(angle) - notch) > 0


def inside(kind, x, y):
    """Where the shape is, in coordinates that it fills from -1 to 1."""
    radius = np.hypot(x, y)
    ax, ay = np.abs(x), np.abs(y)
    match CLASSES[kind]:
        case "disk":
            return radius < 0.9
        case "ring":
            return (radius < 0.95) & (radius > 0.5)
        case "square":
            return np.maximum(ax, ay) < 0.75
        case "triangle":
            return polygon(x, y, 3)
        case "pentagon":
            return polygon(x, y, 5)
        case "pair":
            return (ax < 0.85) & (ay > 0.25) & (ay < 0.7)
        case "star":
            return star(x, y)
        case "plus":
            return (np.minimum(ax, ay) < 0.28) & (np.maximum(ax, ay) < 0.9)
        case "crescent":
            return (radius < 0.95) & (np.hypot(x - 0.45, y) > 0.75)
        case "heart":
            a, b = 1.2 * x, 1.2 * y + 0.1
            return (a * a + b * b - 0.9) ** 3 < a * a * b**3
        case "arrow":
            return ((ax < 0.22) & (y > -0.95) & (y < 0.2)) | ((y > 0.1) & (ax < 0.95 - y))
        case "half-disk":
            return (radius < 1) & (y > -0.05)
        case "ellipse":
            return np.hypot(x, y / 0.5) < 1
        case "corner":
            return (np.maximum(ax, ay) < 0.8) & ((x < -0.3) | (y < -0.3))
        case "tee":
            return (ax < 0.8) & (ay < 0.8) & ((y > 0.3) | (ax < 0.25))
        case "pie":
            return (radius < 0.95) & ~((x > 0) & (y > 0))
    raise ValueError(kind)


def smooth(random, count, cells):
    """Noise in [0, 1] that changes over a picture in `cells` steps."""
    coarse = random.random((count, cells + 1, cells + 1), np.float32)
    at = np.linspace(0, cells, SIDE * FINE, endpoint=False, dtype=np.float32)
    low, part = at.astype(int), at % 1
    rows = coarse[:, low] * (1 - part[:, None]) + coarse[:, low + 1] * part[:, None]
    return rows[:, :, low] * (1 - part) + rows[:, :, low + 1] * part


def render(random, kind, count):
    """`count` pictures of a class."""

    def uniform(low, high):
        return np.float32(low) + np.float32(high - low) * random.random((count, 1, 1), np.float32)

    axis = (np.arange(SIDE * FINE, dtype=np.float32) + 0.5) / (SIDE * FINE) * 2 - 1
    x, y = axis[None, None, :], axis[None, :, None]

    def color():
        return random.random((count, 1, 1, 3), np.float32)

    # The background: two colours in a slow blend, with strokes across.
    blend = 0.6 * smooth(random, count, 3) + 0.4 * smooth(random, count, 9)
    first = color()
    picture = first + (color() - first) * 0.6 * blend[..., None]
    for _ in range(2):
        angle, offset = uniform(0, np.pi), uniform(-1.2, 1.2)
        stroke = np.abs(np.cos(angle) * x + np.sin(angle) * y - offset) < uniform(-0.03, 0.05)
        picture = np.where(stroke[..., None], color(), picture)
    for _ in range(2):
        away, angle = uniform(0.75, 1.3), uniform(0, 2 * np.pi)
        spot = np.hypot(x - away * np.cos(angle), y - away * np.sin(angle))
        picture = np.where((spot < uniform(0, 0.3))[..., None], color(), picture)

    # The shape.
    size, angle = uniform(0.55, 0.9), uniform(0, 2 * np.pi)
    dx = x - uniform(-1, 1) * (0.95 - size)
    dy = y - uniform(-1, 1) * (0.95 - size)
    u = (np.cos(angle) * dx + np.sin(angle) * dy) / size
    v = (np.cos(angle) * dy - np.sin(angle) * dx) / size
    stretch = uniform(0.9, 1.1)
    covered = inside(kind, (u + uniform(-0.12, 0.12) * v) * stretch, v / stretch)
    direction = random.standard_normal((count, 1, 1, 3), np.float32)
    direction /= np.abs(direction).max(axis=3, keepdims=True)
    contrast = uniform(0.3, 1.0)[..., None]
    base = picture.mean(axis=(1, 2), keepdims=True)
    stripes = np.sin(uniform(4, 16) * u + uniform(-8, 8) * v) * uniform(-0.06, 0.06)
    fill = base + direction * contrast + stripes[..., None]
    picture = np.where(covered[..., None], fill, picture)

    # What covers it.
    angle, offset = uniform(0, np.pi), uniform(-0.7, 0.7)
    bar = np.abs(np.cos(angle) * dx + np.sin(angle) * dy - offset * size)
    picture = np.where((bar < uniform(-0.12, 0.09) * size)[..., None], color(), picture)

    picture = picture.reshape(count, SIDE, FINE, SIDE, FINE, 3).mean(axis=(2, 4))
    amount = uniform(-0.6, 0.8).clip(0)[..., None]
    blurred = picture
    for along in (1, 2):
        before, after = np.roll(blurred, 1, along), np.roll(blurred, -1, along)
        blurred = (before + blurred + after) / 3
    picture = picture + amount * (blurred - picture)
    picture = picture + random.standard_normal(picture.shape, np.float32) * uniform(0, 0.04)[..., None]
    return np.rint(picture.clip(0, 1) * 255).astype(np.uint8)


def make(part, count):
    """Pictures and labels, in a random order, as many of each class."""
    random = np.random.default_rng(SEEDS[part])
    labels = np.arange(count) % len(CLASSES)
    random.shuffle(labels)
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for kind in range(len(CLASSES)):
        places = np.flatnonzero(labels == kind)
        for start in range(0, len(places), BATCH):
            some = places[start : start + BATCH]
            images[some] = render(random, kind, len(some))
    return images, labels.astype(np.uint8)


def png(image):
    """An RGB picture as PNG."""

    def chunk(kind, body):
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    height, width, _ = image.shape
    head = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    rows = np.concatenate([np.zeros((height, 1), np.uint8), image.reshape(height, -1)], axis=1)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def write(folder, images, labels):
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for number, (image, label) in enumerate(zip(images, labels)):
        (folder / f"shape_{number:05}_{label}.png").write_bytes(png(image))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=int, default=40_000, metavar="N")
    parser.add_argument("--test", type=int, default=10_000, metavar="N")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", args.train), ("test", args.test), ("validation", VALIDATION)):
        images, labels = make(part, count)
        if part != "validation":
            np.savez(args.out / f"{part}.npz", images=images, labels=labels)
        if part == "train":
            write(args.out / "calibration", images[:CALIBRATION], labels[:CALIBRATION])
        else:
            write(args.out / part, images, labels)
        print(f"{part}: {count} pictures of {len(CLASSES)} classes")
    (args.out / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    print(f"NumPy {np.__version__}")


if __name__ == "__main__":
    main()
