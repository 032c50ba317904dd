#!/usr/bin/env python3
"""Reduces the vtables read from TensorRT's headers to what src/tensorrt needs.

usage: reduce_vtables.py FULL.json > src/tensorrt/vtables.json

FULL.json: {version: {class: [signature of slot 0, of slot 1, ...]}}.

What is written: {family: {version: {class: [...]}}}. A class's list holds one entry per slot: "~" for
a destructor, else `return name(types)` without parameter names. A number at its head says how many
slots are as in the family's version before; a class that is missing has not changed at all.
"""

import json
import re
import sys

FAMILIES = {
    "trt8": ["8.2.1", "8.4.1", "8.5.2", "8.6.1"],
    "trt10": ["10.0.0", "10.3.0", "10.7.0", "10.16"],
    "rtx1": ["rtx1.7"],
}

CLASSES = """
ILogger IProfiler IProgressMonitor
VBuilder VBuilderConfig VCudaEngine VEngineInspector VExecutionContext VHostMemory
VNetworkDefinition VOptimizationProfile VRuntime VTensor VTimingCache
VLayer VActivationLayer VCastLayer VConcatenationLayer VConstantLayer VConvolutionLayer
VDeconvolutionLayer VDequantizeLayer VElementWiseLayer VFillLayer VGatherLayer VIdentityLayer
VMatrixMultiplyLayer VNMSLayer VPaddingLayer VParametricReLULayer VPoolingLayer VQuantizeLayer
VReduceLayer VResizeLayer VScaleLayer VSelectLayer VShapeLayer VShuffleLayer VSliceLayer
VSoftMaxLayer VTopKLayer VUnaryLayer
""".split()


def parameter(text):
    """The type of one parameter: `const char * name` -> `const char*`."""
    text = text.strip()
    words = re.findall(r"\w+|[*&]", text)
    named = re.search(r"\w$", text) and len([w for w in words if w != "const" and w.isidentifier()]) > 1
    if named:
        words.pop()
    while words and words[-1] == "const":
        words.pop()
    return re.sub(r" ([*&])", r"\1", " ".join(words))


def signature(text):
    """One slot: `Dims getX(int32_t i) const` -> `Dims getX(int32_t)`."""
    if text.startswith("~"):
        return "~"
    text = text.replace("nvinfer1::", "").replace("std::", "").replace("AsciiChar", "char")
    match = re.fullmatch(r"(.*?)(\w+)\((.*)\)( const)?", text)
    if not match:
        sys.exit(f"cannot read the signature {text!r}")
    result, name, parameters, _ = match.groups()
    types = [parameter(p) for p in parameters.split(",")] if parameters else []
    return f"{parameter(result)} {name}({','.join(types)})"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        full = json.load(file)
    families = {}
    for family, versions in FAMILIES.items():
        families[family] = {}
        before = {}
        for version in versions:
            reduced = families[family][version] = {}
            for name in CLASSES:
                slots = full[version].get(name) or full[version].get("apiv::" + name)
                if slots is None:
                    continue
                slots = [signature(slot) for slot in slots]
                old = before.get(name, [])
                same = next((i for i, (a, b) in enumerate(zip(old, slots)) if a != b), min(len(old), len(slots)))
                if not old:
                    reduced[name] = slots
                elif same < max(len(slots), len(old)):
                    reduced[name] = [same, *slots[same:]]
                before[name] = slots
    text = json.dumps({"families": families}, indent=1)
    print(re.sub(r"\[\s+([^\[\]]*?)\s+\]", lambda m: "[" + re.sub(r",\n\s+", ", ", m.group(1)) + "]", text))


if __name__ == "__main__":
    main()
