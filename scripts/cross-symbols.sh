#!/usr/bin/env bash
# Writes cross/gstreamer-1.14.symbols: what the libraries that tfjet-run links export in the oldest
# GStreamer it supports, JetPack 4's. Debian's packages record the version in which each symbol
# came; the installed packages may be of any later version.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

library() { # SONAME MODULE VERSION
  local name since
  echo "$1 $2 $3"
  awk -v soname="$1" '
    /^[^ *|#]/ { listed = $1 == soname }
    listed && /^ / { sub("@.*", "", $1); print $1, $2 }
  ' /var/lib/dpkg/info/*.symbols | while read -r name since; do
    if dpkg --compare-versions "$since" le "$3"; then echo " $name"; fi
  done | sort -u
}

{
  echo "# The symbols of GStreamer 1.14.5 and GLib 2.56.4, the releases of JetPack 4, for each library"
  echo "# that tfjet-run links: its name, pkg-config's name, its version. scripts/cross-symbols.sh"
  echo "# writes this file."
  library libgstreamer-1.0.so.0 gstreamer-1.0 1.14.5
  library libgstbase-1.0.so.0 gstreamer-base-1.0 1.14.5
  library libgstapp-1.0.so.0 gstreamer-app-1.0 1.14.5
  library libgstvideo-1.0.so.0 gstreamer-video-1.0 1.14.5
  library libglib-2.0.so.0 glib-2.0 2.56.4
  library libgobject-2.0.so.0 gobject-2.0 2.56.4
  library libgio-2.0.so.0 gio-2.0 2.56.4
} >cross/gstreamer-1.14.symbols.new
mv cross/gstreamer-1.14.symbols.new cross/gstreamer-1.14.symbols
