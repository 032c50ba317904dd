# JetPack 4 (Nano, TX2): Ubuntu 18.04, glibc 2.27, GStreamer 1.14.5.
FROM --platform=linux/arm64 ubuntu:18.04 AS board
FROM --platform=linux/amd64 ubuntu:18.04
COPY --from=board /etc/apt /opt/board-apt
COPY image.sh sysroot.sh /opt/
RUN /opt/image.sh
ENV CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS=-Clink-arg=--sysroot=/opt/board \
    PKG_CONFIG_ALLOW_CROSS=1 \
    PKG_CONFIG_SYSROOT_DIR=/opt/board \
    PKG_CONFIG_LIBDIR=/opt/board/usr/lib/aarch64-linux-gnu/pkgconfig:/opt/board/usr/share/pkgconfig
