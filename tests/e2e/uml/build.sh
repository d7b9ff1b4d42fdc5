#!/bin/bash
# build.sh [OUTDIR]
# Builds, from Debian 12's own packages only, a User-Mode Linux kernel (an ordinary program) with
# V4L2, ALSA and module loading, plus the v4l2loopback and snd-aloop modules for it. About 3 minutes
# on two cores; a second call returns at once. Needs root for apt.
# Result: OUTDIR/linux and OUTDIR/modules/<release>/, used by run.sh beside this file.
# Where it cannot be built (no such packages, another processor) it says so in one line and returns 75.
set -euo pipefail
OUT=${1:-${UML_DIR:-/var/tmp/vcam-avatar-e2e/uml}}
HERE=$(dirname "$(readlink -f "$0")")
mkdir -p "$OUT"
[ "$(uname -m)" = x86_64 ] || { echo "User-Mode Linux needs an x86-64 processor, this is $(uname -m)"; exit 75; }
known() { [[ $(apt-cache policy "$1") == *"Candidate: "[0-9]* ]]; }
known linux-source-6.1 || apt-get update -qq || true
for package in linux-source-6.1 v4l2loopback-dkms; do
    known $package || {
        echo "apt knows no package $package (Debian 12 has it), so no kernel with a camera can be built"
        exit 75
    }
done
versions=$(apt-cache policy linux-source-6.1 v4l2loopback-dkms |
    awk '/^[a-z]/ {name = $1} /Candidate/ {print name $2}' | tr '\n' ' ')
# The kernel carries the host's floating-point registers about in a buffer of fixed size, which hosts with
# wider ones (AMX: 11008 bytes) refuse: make it as wide as this host's.
xstate_bytes=$(
    apt-get install -y --no-install-recommends gcc libc6-dev >/dev/null
    probe=$(mktemp -d)
    cat >"$probe/x.c" <<'C'
#include <cpuid.h>
#include <stdio.h>
int main(void) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    __cpuid_count(0xd, 0, a, b, c, d);
    printf("%u\n", b > 2696 ? b : 2696);
}
C
    gcc "$probe/x.c" -o "$probe/x" && "$probe/x"
    rm -rf "$probe"
)
want="$versions$xstate_bytes $(sha256sum <"$HERE/kernel.config" | cut -c1-12)"
if [ "$(cat "$OUT/STAMP" 2>/dev/null)" = "$want" ]; then
    echo "uml: $OUT is up to date"
    exit 0
fi
start=$SECONDS
apt-get install -y --no-install-recommends gcc make libc6-dev flex bison bc kmod xz-utils cpio >/dev/null
BUILD=$(mktemp -d /var/tmp/umlbuild.XXXXXX)
trap 'rm -rf "$BUILD"' EXIT
chmod 755 "$BUILD"
cd "$BUILD"
apt-get download linux-source-6.1 v4l2loopback-dkms >/dev/null 2>&1 || {
    echo "the packages linux-source-6.1 and v4l2loopback-dkms cannot be fetched, so no kernel can be built"
    exit 75
}
for deb in *.deb; do dpkg -x "$deb" x; done
tar -xf x/usr/src/linux-source-6.1.tar.xz --exclude='*/Documentation/*' --exclude='*/tools/testing/*'
KERNEL=$BUILD/linux-source-6.1
mkdir -p "$KERNEL/Documentation"
touch "$KERNEL/Documentation/Kconfig"
sed -i 's/^if !UML$/if y/' "$KERNEL/sound/Kconfig" # ALSA is only hidden from UML, not broken on it
sed -i "s/DEFINE_LONGS(HOST_FP_SIZE, 2696)/DEFINE_LONGS(HOST_FP_SIZE, $xstate_bytes)/" \
    "$KERNEL/arch/x86/um/user-offsets.c"
cd "$KERNEL"
make -s ARCH=um KCONFIG_ALLCONFIG="$HERE/kernel.config" allnoconfig >/dev/null
for wanted in VIDEO_DEV=y SND=y SND_ALOOP=m HOSTFS=y MODULES=y; do
    grep -q "^CONFIG_$wanted" .config || { echo "uml: CONFIG_$wanted did not take" >&2; exit 1; }
done
log=$BUILD/log
make -s ARCH=um -j"$(nproc)" linux modules >"$log" 2>&1 || { tail -30 "$log"; exit 1; }
LOOPBACK=$(echo "$BUILD"/x/usr/src/v4l2loopback-*)
make -s ARCH=um M="$LOOPBACK" modules >>"$log" 2>&1 || { tail -30 "$log"; exit 1; }
release=$(make -s ARCH=um kernelrelease)
MODULES=$BUILD/mods
make -s ARCH=um INSTALL_MOD_PATH="$MODULES" modules_install >/dev/null
make -s ARCH=um INSTALL_MOD_PATH="$MODULES" M="$LOOPBACK" modules_install >/dev/null
depmod -b "$MODULES" "$release"
rm -rf "$OUT/modules"
mkdir -p "$OUT/modules"
cp -r "$MODULES/lib/modules/$release" "$OUT/modules/"
rm -f "$OUT/modules/$release/build" "$OUT/modules/$release/source"
cp linux "$OUT/linux"
strip "$OUT/linux" 2>/dev/null || true
echo "$want" >"$OUT/STAMP"
echo "uml: built in $((SECONDS - start)) s: $(du -sh "$OUT" | cut -f1) in $OUT"
