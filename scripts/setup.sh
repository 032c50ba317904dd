#!/usr/bin/env bash
# Installs the system packages that building, testing and the demo need, where they are missing.
# `setup.sh cross` installs those that scripts/cross.sh needs, `setup.sh aarch64` those of
# scripts/test-aarch64.sh.
set -euo pipefail

packages=()
need() { # PACKAGE COMMAND...: PACKAGE is needed where COMMAND fails
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || packages+=("$package")
}
installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1") == installed ]]; }

need gcc command -v cc
need pkg-config command -v pkg-config
need python3 command -v python3
need python3-pip python3 -m pip --version
need python3-venv python3 -c 'import ensurepip, venv'
if [[ ${1:-} == cross || ${1:-} == aarch64 ]]; then
  need binutils command -v readelf
  [[ $1 == cross ]] || need qemu-user-static command -v qemu-aarch64-static
else
  need libgstreamer1.0-dev pkg-config --exists gstreamer-1.0
  need libgstreamer-plugins-base1.0-dev pkg-config --exists gstreamer-app-1.0 gstreamer-video-1.0
  need gstreamer1.0-tools command -v gst-inspect-1.0
  for package in gstreamer1.0-plugins-{base,good,bad} gstreamer1.0-libav; do
    need "$package" installed "$package"
  done
  need npm command -v npm
  for package in python3-gi gir1.2-gst-rtsp-server-1.0; do
    need "$package" installed "$package"
  done
fi

if ! command -v cargo >/dev/null; then
  echo "setup: no cargo; install Rust 1.95 or later from https://rustup.rs first" >&2
  exit 4
fi

apt=present
command -v apt-get >/dev/null || apt=absent
if [[ $apt == absent ]] && ((${#packages[@]})); then
  echo "setup: no apt-get; install what these Debian packages hold: ${packages[*]}" >&2
  exit 4
fi

# `tfjet fetch` downloads opencv-doc without installing it, which takes apt's package lists.
lists=present
[[ $apt == absent || -n $(apt-cache madison opencv-doc 2>/dev/null) ]] || lists=absent

sudo=()
((EUID == 0)) || sudo=(sudo)
if ((${#packages[@]})) || [[ $lists == absent ]]; then
  "${sudo[@]}" apt-get -q update
fi
if ((${#packages[@]})); then
  echo "setup: installing ${packages[*]}"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -q install -y --no-install-recommends "${packages[@]}"
fi
