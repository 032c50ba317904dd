#!/usr/bin/env python3
"""Quantizes an ONNX model with ONNX Runtime's own tools and measures it: a check beside tfjet's.

usage: accuracy_onnxruntime.py MODEL.onnx --calibration DIR --images DIR... [options]

The model is tf2onnx's. Post-training static quantization, QDQ form: INT8, symmetric, per channel for
weights, of convolutions and matrix multiplications, as tfjet does it. Images must have the model's
size, or be squares of which --crop is the model's size; `_CLASS` ends the names of labelled ones.
Prints one line of JSON per folder. Needs onnxruntime, onnx and pillow.
"""

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

METHODS = {
    "min-max": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}
# Calibration images whose activations are held in memory at a time.
AT_ONCE = 16
BATCH = 25


class Images:
    def __init__(self, args, folder):
        self.args = args
        self.files = sorted(Path(folder).glob("*.png"))
        if not self.files:
            sys.exit(f"accuracy_onnxruntime.py: no images in {folder}")
        if args.samples:
            self.files = self.files[: args.samples]

    def load(self, start, end):
        size = self.args.size
        arrays = []
        for file in self.files[start:end]:
            image = Image.open(file).convert("RGB")
            left, top = (image.width - size) // 2, (image.height - size) // 2
            arrays.append(np.asarray(image.crop((left, top, left + size, top + size)), np.float32))
        return (np.stack(arrays) - np.float32(self.args.mean)) * np.float32(self.args.scale)

    def labels(self):
        found = [re.search(r"_(\d+)$", file.stem) for file in self.files]
        return np.array([int(it[1]) for it in found]) if all(found) else None


class Reader(CalibrationDataReader):
    def __init__(self, images, name):
        self.images, self.name = images, name
        self.set_range(0, len(images.files))

    def __len__(self):
        return len(self.images.files)

    def set_range(self, start_index, end_index):
        self.at, self.end = start_index, end_index

    def get_next(self):
        if self.at >= self.end:
            return None
        self.at += 1
        return {self.name: self.images.load(self.at - 1, self.at)}


def answers(model, images, output, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # As numbers that a GPU computes: no fusion into kernels that round on their own.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    found = [
        session.run([output], {name: images.load(start, start + BATCH)})[0]
        for start in range(0, len(images.files), BATCH)
    ]
    return np.concatenate(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--calibration", required=True)
    parser.add_argument("--images", nargs="+", required=True)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--mean", type=float, default=127.0)
    parser.add_argument("--scale", type=float, default=1 / 128)
    parser.add_argument("--method", nargs="+", choices=METHODS, default=["entropy"])
    parser.add_argument("--output", help="the output that is compared; else the first")
    parser.add_argument("--samples", type=int, help="take the first N of each evaluated folder")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    calibration = Images(argparse.Namespace(**{**vars(args), "samples": None}), args.calibration)
    calibration.files = calibration.files[: len(calibration.files) // AT_ONCE * AT_ONCE]
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(str(args.model), str(prepared), skip_symbolic_shape=True)
        graph = onnx.load(prepared).graph
        output = args.output or graph.output[0].name
        folders = {folder: Images(args, folder) for folder in args.images}
        fp32 = {
            folder: answers(str(prepared), images, output, args.threads).argmax(1)
            for folder, images in folders.items()
        }
        for method in args.method:
            quantized = Path(scratch) / f"{method}.onnx"
            quantize_static(
                str(prepared),
                str(quantized),
                Reader(calibration, graph.input[0].name),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "MatMul", "Gemm"],
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=METHODS[method],
                extra_options={
                    "ActivationSymmetric": True,
                    "WeightSymmetric": True,
                    "CalibTensorRangeSymmetric": True,
                    "CalibStridedMinMax": AT_ONCE,
                },
            )
            for folder, images in folders.items():
                int8 = answers(str(quantized), images, output, args.threads).argmax(1)
                row = {
                    "method": method,
                    "images": folder,
                    "count": len(int8),
                    "calibration": len(calibration.files),
                    "agree": int((int8 == fp32[folder]).sum()),
                    "onnxruntime": onnxruntime.__version__,
                }
                labels = images.labels()
                if labels is not None:
                    row["fp32_right"] = int((fp32[folder] == labels).sum())
                    row["int8_right"] = int((int8 == labels).sum())
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
