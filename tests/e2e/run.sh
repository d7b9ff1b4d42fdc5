#!/bin/bash
# run.sh [STEP...]     Debian 12, root.
# Tests with real programs: OBS under a virtual display, a sound server, PipeWire and Chromium, and a real
# kernel camera in User-Mode Linux, with the shipped networks where figures depend on them. Installs what it
# needs by apt and pip, keeps the kernel and the Python environment in $VCAM_E2E_CACHE, cleans up the rest,
# and returns the number of failed steps. A step that fails is run once more, and said to have been; what a
# machine does not have is said and skipped; times that other work spoils are said and not judged.
# Steps: obs sound browser uml camera (default: all).
# PYTHON: an environment that has the package already. VCAM_E2E_STAGES=stand-ins: without the networks.
# VCAM_E2E_PICTURES: a folder for pictures of OBS with the avatar in it.
set -u
HERE=$(dirname "$(readlink -f "$0")")
ROOT=$(readlink -f "$HERE/../..")
CACHE=${VCAM_E2E_CACHE:-/var/tmp/vcam-avatar-e2e}
WORK=$(mktemp -d /var/tmp/vcam-e2e-run.XXXXXX)
beside=
trap 'rm -rf "$WORK"; [ -z "$beside" ] || kill "$beside" 2>/dev/null' EXIT
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
        grep -E "p95|fps|correlation|back [0-9]|again [0-9]|cores|[0-9] MB|s (call|setup) |^(SKIPPED|XFAIL)|[0-9] (passed|failed|skipped)" "$WORK/$name.log" |
            cut -c1-240 | head -40
        echo "STEP $name ok $((SECONDS - start)) s"
        ;;
    $NOT_HERE)
        tail -20 "$WORK/$name.log"
        echo "STEP $name SKIPPED: $(tail -1 "$WORK/$name.log")"
        ;;
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
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" && return 0
    echo "these packages cannot be installed: ${missing[*]}"
    return $NOT_HERE
}

make_environment() {
    [ -n "${PYTHON:-}" ] && return 0
    local python
    python=$(command -v python3.11 || command -v python3)
    [ -x "$CACHE/venv/bin/python" ] || "$python" -m venv "$CACHE/venv"
    "$CACHE/venv/bin/pip" install -q -e "$ROOT[cpu,dev]"
}

tests() {
    "${PYTHON:-$CACHE/venv/bin/python}" -m pytest -p no:cacheprovider -q -s --durations=${VCAM_E2E_DURATIONS:-5} -rsx "$@"
}

in_kernel() {
    local python=${PYTHON:-$CACHE/venv/bin/python}
    # The memory of its processes is a file that grows as it is used.
    [ "$(df --output=avail /dev/shm | tail -1)" -gt 6000000 ] || export UML_TMPDIR=$WORK
    "$HERE/uml/run.sh" -m 512M -t 60 -w "$WORK" -- true || {
        echo "the kernel with a camera does not start on this machine, see above"
        return $NOT_HERE
    }
    # In there nothing can be written beside the package: compile the drawing code out here.
    "$python" -m vcam_avatar.cli.main render "$VOICE" -o "$WORK/warm.mp4" --size 640x360 --quiet --overwrite ||
        return 1
    local read=()
    for folder in "$ROOT" "$("$python" -c 'import sys; print(sys.prefix)')"; do
        [[ $folder != /tmp/* ]] || read+=(-r "$folder")
    done
    # In there only $WORK can be written.
    local pictures=() status
    if [ -n "${VCAM_E2E_PICTURES:-}" ]; then
        mkdir -p "$WORK/pictures" "$VCAM_E2E_PICTURES"
        pictures=(VCAM_E2E_PICTURES="$WORK/pictures")
    fi
    "$HERE/uml/run.sh" -m 5G -t 600 -w "$WORK" "${read[@]}" -- env "${pictures[@]}" TMPDIR=/run PYTHONDONTWRITEBYTECODE=1 \
        VCAM_E2E_PATIENCE="${VCAM_E2E_PATIENCE:-4}" VCAM_E2E_OTHERS="$("$python" "$HERE/calm.py")" \
        VCAM_E2E_STAGES="$VCAM_E2E_STAGES" VCAM_E2E_WAV="$VOICE" \
        "$python" -m pytest -p no:cacheprovider -c "$ROOT/pyproject.toml" \
        --rootdir "$ROOT" -q -s --durations=${VCAM_E2E_DURATIONS:-5} -rsx "$@"
    status=$?
    [ ${#pictures[@]} = 0 ] || cp "$WORK"/pictures/* "$VCAM_E2E_PICTURES/" 2>/dev/null
    return $status
}

camera_step() { step camera in_kernel -m "device" "$ROOT/tests/e2e/test_camera.py"; }

# The kernel has one processor: where there are more, it runs on the last beside the other steps on the rest,
# so that neither takes time from what the other measures.
split_processors() {
    read -r count last rest < <(python3 -c 'import os
c = sorted(os.sched_getaffinity(0))
print(len(c), c[-1], ",".join(map(str, c[:-1])))')
    [ "$count" -gt 1 ] && [ "$STEPS" != camera ] && command -v taskset >/dev/null
}

STEPS=${*:-obs sound browser uml camera}
for wanted in $STEPS; do
    case $wanted in obs | sound | browser | uml | camera) ;; *) echo "there is no step $wanted" && exit 64 ;; esac
done
cd "$ROOT" || exit 1
step packages install_packages || exit $((failed > 0))
step environment make_environment || exit 1
camera=no
case " $STEPS " in *" uml "* | *" camera "*) step uml "$HERE/uml/build.sh" && kernel=there || kernel=missing ;; esac
case " $STEPS " in
*" camera "*)
    if [ $kernel = missing ]; then
        echo "STEP camera SKIPPED: there is no kernel with a camera, see above"
    elif split_processors; then
        (taskset -cp "$last" $BASHPID >/dev/null && camera_step) >"$WORK/beside.log" 2>&1 &
        beside=$!
        taskset -cp "$rest" $$ >/dev/null
    else
        camera=alone
    fi
    ;;
esac
for wanted in $STEPS; do
    case $wanted in
    obs) step obs tests -m "obs or device" tests/e2e/test_obs.py tests/e2e/test_privacy.py ;;
    sound) step sound tests -m device tests/e2e/test_sound.py tests/e2e/test_sound_absence.py ;;
    browser) step browser tests -m device tests/e2e/test_browser.py ;;
    camera) [ $camera = no ] || camera_step ;;
    esac
done
if [ -n "$beside" ]; then
    wait "$beside"
    case $? in 0 | $NOT_HERE) ;; *) failed=$((failed + 1)) ;; esac
    beside=
    cat "$WORK/beside.log"
fi
echo "total $SECONDS s, $failed failed"
exit "$failed"
