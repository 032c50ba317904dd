# Sourced by the scripts that build for the boards, at the repository's root: installs zig and
# cargo-zigbuild where they are missing, makes GStreamer's stand-ins, and sets up cargo-zigbuild.
# Exits with 4 where something is not to be had.

# The oldest C library of a supported board, JetPack 4's.
glibc=2.27
target=aarch64-unknown-linux-gnu
cache=${TFJET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tfjet}
out=$(realpath -m "${CARGO_TARGET_DIR:-target}")/cross
tools=$cache/tools/zig-0.17.1-zigbuild-0.24.0

missing() {
  echo "cross: $*" >&2
  exit 4
}

scripts/setup.sh cross || missing "packages for cross-compiling are missing"
if [[ ! -d $(rustc --print sysroot)/lib/rustlib/$target ]]; then
  command -v rustup >/dev/null || missing "Rust has no $target and there is no rustup to add it"
  rustup target add "$target" || missing "rustup could not add $target"
fi
if [[ ! -f $tools/complete ]]; then
  echo "cross: getting zig"
  rm -rf "$tools"
  mkdir -p "${tools%/*}"
  python3 -m venv "$tools"
  "$tools/bin/python" -m pip install --quiet --disable-pip-version-check \
    ziglang==0.17.1 cargo-zigbuild==0.24.0 || missing "pip could not get zig"
  touch "$tools/complete"
fi

# What is linked against in GStreamer's and GLib's place: libraries that have the symbols of
# JetPack 4's releases and nothing in them, so a function that came later does not link.
stubs=$out/stubs
if [[ ! $stubs/complete -nt cross/gstreamer-1.14.symbols ]]; then
  rm -rf "$stubs"
  mkdir -p "$stubs"
  while read -r soname module version; do
    [[ -n $version ]] || continue
    name=${soname#lib} name=${name%.so.*}
    awk -v soname="$soname" '
      BEGIN { print ".text" }
      /^[^ ]/ { listed = $1 == soname }
      listed && /^ / { printf ".globl %s\n.type %s, %%function\n%s:\n", $1, $1, $1 }
    ' cross/gstreamer-1.14.symbols >"$stubs/$name.s"
    "$tools/bin/python" -m ziglang cc -target "aarch64-linux-gnu.$glibc" -shared -nostdlib \
      -Wl,-soname,"$soname" -o "$stubs/lib$name.so" "$stubs/$name.s"
    printf 'Name: %s\nDescription: stand-in\nVersion: %s\nLibs: -L%s -l%s\n' \
      "$module" "$version" "$stubs" "$name" >"$stubs/$module.pc"
  done < <(grep '^lib' cross/gstreamer-1.14.symbols)
  touch "$stubs/complete"
fi

# cargo-zigbuild for the boards: cross_cargo COMMAND ARGUMENT...
cross_cargo() {
  env -u PKG_CONFIG_PATH -u PKG_CONFIG_SYSROOT_DIR PATH="$tools/bin:$PATH" \
    PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_LIBDIR="$stubs" \
    cargo-zigbuild "$1" --locked --target "$target.$glibc" "${@:2}"
}
