#!/bin/bash
# run.sh [STEP...]     Debian 12, root.
# Tests with real programs: OBS under a virtual display, a sound server, PipeWire and Chromium, and a real
# kernel camera in User-Mode Linux, with the shipped networks where figures depend on them. Installs what it
# needs by apt and pip, keeps the kernel and the Python environment in $VCAM_E2E_CACHE, cleans up the rest,
# and returns the number of failed steps. A step that fails is run once more, and said to have been.
# Steps: obs sound browser uml camera (default: all).
# PYTHON: an environment that has the package already. VCAM_E2E_STAGES=stand-ins: without the networks.
set -u
HERE=$(dirname "$(readlink -f "$0")")
ROOT=$(readlink -f "$HERE/../..")
CACHE=${VCAM_E2E_CACHE:-/var/tmp/vcam-avatar-e2e}
WORK=$(mktemp -d /var/tmp/vcam-e2e-run.XXXXXX)
trap 'rm -rf "$WORK"' EXIT
export VCAM_E2E_STAGES=${VCAM_E2E_STAGES:-real}
VOICE=${VCAM_E2E_WAV:-$ROOT/vcam_avatar/assets/demo_voice.flac}
export UML_DIR=$CACHE/uml DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1
mkdir -p "$CACHE"
PACKAGES="obs-studio xvfb xdotool openbox x11-utils imagemagick libgl1-mesa-dri pulseaudio pulseaudio-utils
 libasound2-plugins libportaudio2 espeak-ng ffmpeg v4l-utils strace dbus dbus-x11 libglib2.0-bin chromium
 pipewire pipewire-bin wireplumber gstreamer1.0-tools gstreamer1.0-pipewire gstreamer1.0-plugins-base
 gstreamer1.0-plugins-good xdg-desktop-portal xdg-desktop-portal-gtk iproute2 kmod"
failed=0

NOT_HERE=75

# step NAME COMMAND...: run it, say how it went; a status of 75 means that it cannot be done here.
step() {
    local name=$1 start=$SECONDS tries=0 status
    shift
    while true; do
        "$@" >"$WORK/$name.log" 2>&1
        status=$?
        [ $status = 0 ] || [ $status = $NOT_HERE ] || [ $tries = 1 ] && break
        tail -60 "$WORK/$name.log"
        echo "STEP $name failed after $((SECONDS - start)) s: once more"
        tries=1
        sleep 10
    done
    case $status in
    0)
        grep -E "p95|fps|correlation|back [0-9]|again [0-9]|cores|[0-9] MB| (passed|failed|skipped)" "$WORK/$name.log" |
            cut -c1-240 | head -40
        echo "STEP $name ok $((SECONDS - start)) s"
        ;;
    $NOT_HERE) echo "STEP $name SKIPPED: $(tail -1 "$WORK/$name.log")" ;;
    *)
        failed=$((failed + 1))
        tail -60 "$WORK/$name.log"
        echo "STEP $name FAILED $((SECONDS - start)) s"
        ;;
    esac
    return $status
}

install_packages() {
    local missing=()
    for package in $PACKAGES; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return 0
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

make_environment() {
    [ -n "${PYTHON:-}" ] && return 0
    local python
    python=$(command -v python3.11 || command -v python3)
    [ -x "$CACHE/venv/bin/python" ] || "$python" -m venv "$CACHE/venv"
    "$CACHE/venv/bin/pip" install -q -e "$ROOT[cpu,dev]"
}

tests() {
    "${PYTHON:-$CACHE/venv/bin/python}" -m pytest -p no:cacheprovider -q -s --durations=5 -rs "$@"
}

in_kernel() {
    local python=${PYTHON:-$CACHE/venv/bin/python}
    # In there nothing can be written beside the package: compile the drawing code out here.
    "$python" -m vcam_avatar.cli.main render "$VOICE" -o "$WORK/warm.mp4" --size 640x360 --quiet --overwrite ||
        return 1
    "$HERE/uml/run.sh" -m 5G -t 600 -w "$WORK" -- env TMPDIR=/run PYTHONDONTWRITEBYTECODE=1 \
        VCAM_E2E_PATIENCE="${VCAM_E2E_PATIENCE:-4}" VCAM_E2E_STAGES="$VCAM_E2E_STAGES" VCAM_E2E_WAV="$VOICE" \
        "$python" -m pytest -p no:cacheprovider -c "$ROOT/pyproject.toml" \
        --rootdir "$ROOT" -q -s --durations=5 "$@"
}

STEPS=${*:-obs sound browser uml camera}
cd "$ROOT" || exit 1
step packages install_packages && step environment make_environment || exit 1
kernel=unknown
for wanted in $STEPS; do
    case $wanted in
    obs) step obs tests -m "obs or device" tests/e2e/test_obs.py tests/e2e/test_privacy.py ;;
    sound) step sound tests -m device tests/e2e/test_sound.py ;;
    browser) step browser tests -m device tests/e2e/test_browser.py ;;
    uml) step uml "$HERE/uml/build.sh" && kernel=there || kernel=missing ;;
    camera)
        [ $kernel = unknown ] && { step uml "$HERE/uml/build.sh" && kernel=there || kernel=missing; }
        if [ $kernel = there ]; then
            step camera in_kernel -m "device" "$ROOT/tests/e2e/test_camera.py"
        else
            echo "STEP camera SKIPPED: there is no kernel with a camera, see above"
        fi
        ;;
    *) echo "there is no step $wanted" && exit 64 ;;
    esac
done
echo "total $SECONDS s, $failed failed"
exit "$failed"
