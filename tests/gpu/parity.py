#!/usr/bin/env python3
"""Compares outputs of `tfjet-run run --outputs` with TensorFlow's, both as NumPy archives.

    parity.py REF.npz OUT.npz LIMIT [--rows N]

Prints per output the largest difference over the reference's largest magnitude; exit code 1 where
it exceeds LIMIT or a value is not finite. With --rows N the output holds detections (x1, y1, x2,
y2, score, class): each of the reference's first N rows is held against the nearest row of the
same class, boxes and scores apart, since equal scores may change places.
"""
import sys

import numpy as np


def rows_of(array):
    return array.reshape(-1, array.shape[-1]).astype(np.float64)


def compare_rows(reference, ours, count):
    reference, ours = rows_of(reference)[:count], rows_of(ours)
    worst_box = worst_score = 0.0
    for row in reference:
        same = ours[ours[:, 5] == row[5]]
        if not len(same):
            return np.inf, np.inf
        nearest = same[np.abs(same[:, :4] - row[:4]).max(axis=1).argmin()]
        worst_box = max(worst_box, np.abs(nearest[:4] - row[:4]).max())
        worst_score = max(worst_score, abs(nearest[4] - row[4]))
    return worst_box / np.abs(reference[:, :4]).max(), worst_score / reference[:, 4].max()


def main():
    reference, ours, limit = np.load(sys.argv[1]), np.load(sys.argv[2]), float(sys.argv[3])
    rows = int(sys.argv[5]) if len(sys.argv) > 5 else None
    good, compared = True, 0
    for name in (name for name in reference if name.startswith("out:") and name in ours):
        compared += 1
        a, b = reference[name], ours[name]
        if rows:
            box, score = compare_rows(a, b, rows)
            worst, text = max(box, score), f"boxes {box:.2e}, scores {score:.2e} of the largest"
        else:
            worst = float(np.abs(a.astype(np.float64) - b).max() / np.abs(a).max())
            text = f"{worst:.2e} of the largest magnitude"
        passed = bool(worst <= limit) and bool(np.isfinite(b).all())
        good &= passed
        print(f"{'ok  ' if passed else 'FAIL'} {name[4:]}: {text} (limit {limit:g})")
    if not compared:
        print("FAIL: no output in common")
    sys.exit(0 if good and compared else 1)


if __name__ == "__main__":
    main()
