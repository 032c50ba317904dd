"""Writes goldens/: a synthetic image and what the Python imaging library makes of it.

Run with Pillow installed: python3 make_preprocess_goldens.py
"""

import math
import pathlib

from PIL import Image

GOLDENS = pathlib.Path(__file__).parent / "goldens"
SIZE = (67, 45)
MODEL = (24, 20)


def synthetic(width, height):
    """Gradients, waves and hard edges."""
    image = Image.new("RGB", (width, height))
    for y in range(height):
        for x in range(width):
            wave = 127.5 + 127.5 * math.sin(x * 0.7) * math.cos(y * 0.5)
            edge = 255 if (x // 7 + y // 5) % 2 else 0
            image.putpixel((x, y), (int(wave), edge, x * 255 // (width - 1)))
    return image


def center_crop(image, fraction, model):
    width, height = image.size
    side = min(width, height) * fraction
    box = (
        (width - side) / 2,
        (height - side) / 2,
        (width + side) / 2,
        (height + side) / 2,
    )
    return image.crop(box).resize(model, Image.BICUBIC)


def main():
    GOLDENS.mkdir(exist_ok=True)
    image = synthetic(*SIZE)
    step = (SIZE[0] / MODEL[0], SIZE[1] / MODEL[1])
    outputs = {
        "input": image,
        "bicubic": image.resize(MODEL, Image.BICUBIC),
        "bicubic_up": image.resize((90, 80), Image.BICUBIC),
        "area": image.resize(MODEL, Image.BOX),
        "nearest": image.resize(MODEL, Image.NEAREST),
        "bilinear": image.transform(
            MODEL, Image.AFFINE, (step[0], 0, 0, 0, step[1], 0), Image.BILINEAR
        ),
        "crop_7_8": center_crop(image, 224 / 256, (22, 22)),
        "crop_half": center_crop(image, 0.5, (40, 40)),
        "gray": image.convert("L").convert("RGB"),
    }
    for name, output in outputs.items():
        output.save(GOLDENS / f"{name}.png")


if __name__ == "__main__":
    main()
