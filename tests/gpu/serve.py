#!/usr/bin/env python3
"""`tfjet-run serve` with engines: it builds them first, says so to systemd, serves, and starts faster again.

usage: serve.py TFJET_RUN BUNDLE TENSORRT OUT [--frames N] [--onnxruntime LIBRARY]

TFJET_RUN is built with GStreamer, whose plugins coreelements, videotestsrc, videoconvert, videoscale and app
are there. BUNDLE is a classifier; one with engines for the GPU is served without a build. With ONNX Runtime's library the same frames are
classified on the CPU too, and compared. The exit code is 1 where something is not as it should be.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

PORT = 9464


class Service:
    """One process of `serve`, and what it tells systemd."""

    def __init__(self, args, name, engine, prepare):
        self.folder = args.out / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.rows = self.folder / "rows.jsonl"
        self.rows.unlink(missing_ok=True)
        config = self.folder / "config.toml"
        source = "gst:videotestsrc is-live=true pattern=smpte75 ! video/x-raw,width=320,height=240,framerate=30/1"
        lines = [f'bundle = "{args.bundle}"', f'source = "{source}"', f"prepare = {prepare}"]
        lines += ["threshold = 0.0", f'metrics = "127.0.0.1:{PORT}"', "[engine]", *engine]
        lines += [f'cache = "{args.out / "cache"}"', "[[sink]]", f'to = "{self.rows}"']
        config.write_text("\n".join(lines) + "\n")
        path = str(self.folder / "notify")
        Path(path).unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.told = []
        self.begin = time.time()
        threading.Thread(target=self.listen, daemon=True).start()
        environment = {**os.environ, "NOTIFY_SOCKET": path, "WATCHDOG_USEC": "10000000"}
        self.log = open(self.folder / "log", "w")
        command = [args.tfjet_run, "serve", "--config", config]
        self.process = subprocess.Popen(command, env=environment, stderr=self.log, stdout=self.log)

    def listen(self):
        while True:
            for line in self.socket.recv(4096).decode().splitlines():
                self.told.append((time.time() - self.begin, line))

    def first(self, begins):
        return next((at for at, line in self.told if line.startswith(begins)), None)

    def count(self, begins):
        return sum(line.startswith(begins) for _, line in self.told)

    def ready(self, seconds):
        end = time.time() + seconds
        while time.time() < end and self.process.poll() is None:
            if self.first("READY=1") is not None:
                return True
            time.sleep(0.01)
        return False

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=5) as page:
            return page.read().decode()

    def stop(self):
        begin = time.time()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = None
        return code, time.time() - begin

    def results(self):
        rows = [json.loads(line) for line in self.rows.read_text().splitlines()]
        return [row for row in rows if "frame" in row]


failures = []


def check(what, good, found):
    print(f"{'ok  ' if good else 'FAIL'} {what}: {found}", flush=True)
    if not good:
        failures.append(what)


def metric(page, name):
    found = [line.split()[-1] for line in page.splitlines() if line.startswith(name)]
    return float(found[0]) if found else 0.0


def serve(args, name, engine, prepare, limit):
    service = Service(args, name, engine, prepare)
    ready = service.ready(limit)
    check(f"{name}: READY", ready, f"{service.first('READY=1')} s")
    page = ""
    if ready:
        end = time.time() + 60
        while time.time() < end and metric(page, "tfjet_frames_total") < args.frames:
            time.sleep(0.1)
            page = service.metrics()
        check(f"{name}: frames", metric(page, "tfjet_frames_total") >= args.frames, metric(page, "tfjet_frames_total"))
        for line in page.splitlines():
            if line.startswith(("tfjet_info", "tfjet_frames", "tfjet_model_bytes", "tfjet_frame_latency_q")):
                print("      ", line)
    code, seconds = service.stop()
    check(f"{name}: ends at SIGTERM within 2 s", code == 0 and seconds < 2, f"code {code}, {seconds:.2f} s")
    return service, page


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tfjet_run", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("tensorrt", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--onnxruntime", type=Path)
    args = parser.parse_args()
    for name in ("tfjet_run", "bundle", "tensorrt", "out"):
        setattr(args, name, getattr(args, name).resolve())
    args.out.mkdir(parents=True, exist_ok=True)

    gpu = ['device = "gpu"', 'precision = "fp32"', f'tensorrt = "{args.tensorrt}"', 'tactic_sources = "none"']
    first, page = serve(args, "first", gpu, "true", 400)
    built = "building engines" in (first.folder / "log").read_text()
    if built:
        check("first: told systemd to wait while it built", first.count("EXTEND_TIMEOUT_USEC") > 0,
              f"{first.count('EXTEND_TIMEOUT_USEC')} times")
    check("first: on the GPU", 'device="gpu' in page or "TensorRT" in page, "by tfjet_info")
    again, _ = serve(args, "again", gpu, "true", 60)
    before, after = first.first("READY=1") or 0, again.first("READY=1") or 1e9
    if built:
        check("again: ready without a build", after < before / 2, f"{after:.2f} s after {before:.2f} s")
    if args.onnxruntime:
        cpu = ['device = "cpu"', f'onnxruntime = "{args.onnxruntime.resolve()}"']
        other, _ = serve(args, "cpu", cpu, "false", 60)
        ours, theirs = [{it["class"]: it["score"] for it in service.results()[-1]["classes"]} for service in (again, other)]
        off = max(abs(ours.get(key, 0) - theirs.get(key, 0)) for key in {**ours, **theirs})
        # Products are rounded to TF32 on the GPU.
        check("the CPU's answer to the same picture", off < 5e-3, f"scores differ by {off:.1e}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
