#!/usr/bin/env python3
"""Prints, as JSON, how far results are from the reference's.

For each result the largest absolute difference, and under `magnitude` the reference's largest value.

usage: agree.py reference.npz ROWS result.npz...

ROWS limits the comparison to the first rows of the second axis; 0 takes all.
"""
import json
import sys

import numpy as np


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__.strip().splitlines()[4])
    rows = int(sys.argv[2]) or None
    reference = np.load(sys.argv[1])
    differences, magnitude = {}, 0.0
    for path in sys.argv[3:]:
        result = np.load(path)
        worst = 0.0
        for key, expected in reference.items():
            if not key.startswith("out:"):
                continue
            found = result[key]
            if found.shape != expected.shape:
                sys.exit(f"{path}: {key} is {found.shape}, expected {expected.shape}")
            if rows:
                found, expected = found[:, :rows], expected[:, :rows]
            worst = max(worst, float(np.abs(found.astype(np.float64) - expected).max()))
            magnitude = max(magnitude, float(np.abs(expected).max()))
        differences[path] = worst
    print(json.dumps({"differences": differences, "magnitude": magnitude}))


if __name__ == "__main__":
    main()
