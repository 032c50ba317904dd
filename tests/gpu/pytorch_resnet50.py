#!/usr/bin/env python3
"""ResNet-50 (torchvision, random weights, channels_last) in PyTorch: what a user would run instead.

Prints one JSON object: milliseconds per call by mode and batch, wall clock beside event time.
"""
import json
import sys
import time

import torch
import torchvision


def measure(call, seconds):
    for _ in range(10):
        call()
    torch.cuda.synchronize()
    runs = 0
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start = time.perf_counter()
    first.record()
    while time.perf_counter() - start < seconds or runs < 20:
        for _ in range(10):
            call()
        torch.cuda.synchronize()
        runs += 10
    last.record()
    torch.cuda.synchronize()
    wall = (time.perf_counter() - start) * 1e3 / runs
    return {"wall_ms": round(wall, 4), "event_ms": round(first.elapsed_time(last) / runs, 4)}


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    result = {"torch": torch.__version__, "gpu": torch.cuda.get_device_name(0)}
    model = torchvision.models.resnet50(weights=None).eval().cuda()
    model = model.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        for precision, dtype in (("tf32", torch.float32), ("fp16", torch.float16)):
            model = model.to(dtype)
            for batch in (1, 8, 128):
                image = torch.randn(batch, 3, 224, 224, device="cuda", dtype=dtype)
                image = image.contiguous(memory_format=torch.channels_last)
                result[f"eager {precision} batch {batch}"] = measure(lambda: model(image), seconds)
        compiled = torch.compile(model, mode="reduce-overhead")
        for batch in (1, 8):
            image = torch.randn(batch, 3, 224, 224, device="cuda", dtype=torch.float16)
            image = image.contiguous(memory_format=torch.channels_last)
            result[f"compile fp16 batch {batch}"] = measure(lambda: compiled(image), seconds)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
