#!/usr/bin/env bash
# What a JetPack's Dockerfile runs: a compiler for arm64, and GStreamer for arm64 in /opt/board. The
# package sources for arm64 are those of the arm64 image, /opt/board-apt.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

apt-get -q update
apt-get -q install -y --no-install-recommends \
  ca-certificates gcc gcc-aarch64-linux-gnu libc6-dev libc6-dev-arm64-cross pkg-config
APT_ETC=/opt/board-apt /opt/sysroot.sh /opt/board libgstreamer-plugins-base1.0-dev
rm -rf /var/lib/apt/lists/*
