#!/usr/bin/env python3
"""Cuts a frame into the models' inputs.

usage: inputs.py frame.png out.npz NAME SHAPE MEAN SCALE

SHAPE is batch x height x width x 3, as in 4x224x224x3; a batch takes as many overlapping parts of
the frame. Pixels are RGB and become (x - MEAN) * SCALE.
"""
import sys

import numpy as np
from PIL import Image


def main():
    if len(sys.argv) != 7:
        sys.exit(__doc__.strip().splitlines()[2])
    frame, out, name, shape, mean, scale = sys.argv[1:]
    batch, height, width, _ = map(int, shape.split("x"))
    image = Image.open(frame).convert("RGB")
    images = []
    for index in range(batch):
        left = index * image.width // (2 * batch)
        part = image.crop((left, 0, left + image.width // 2, image.height)) if batch > 1 else image
        images.append(np.asarray(part.resize((width, height), Image.Resampling.BILINEAR), np.float32))
    np.savez(out, **{f"in:{name}": (np.stack(images) - np.float32(mean)) * np.float32(scale)})


if __name__ == "__main__":
    main()
