#!/bin/bash
# run.sh [-m MEM] [-t TIMEOUT_S] [-w WORKDIR] [-r FOLDER]... -- COMMAND...
# Boots the kernel made by build.sh with the machine's own file tree as a read-only root, runs COMMAND
# in it as root with a private /tmp, /run and /dev and loopback networking, and returns its exit status.
# Only WORKDIR (default: the current folder) can be written; what it shall read from under /tmp must be named
# with -r. The environment is not inherited.
set -u
UML_DIR=${UML_DIR:-/var/tmp/vcam-avatar-e2e/uml}
MEM=3G
LIMIT_S=300
WORKDIR=$PWD
READ=()
while [ $# -gt 0 ]; do
    case $1 in
    -m) MEM=$2; shift 2 ;;
    -t) LIMIT_S=$2; shift 2 ;;
    -w) WORKDIR=$(readlink -f "$2"); shift 2 ;;
    -r) READ+=("$(readlink -f "$2")"); shift 2 ;;
    --) shift; break ;;
    *) break ;;
    esac
done
# Each guest page is a mapping of its own: with the default limit a guest of some 256 MB is killed.
[ "$(cat /proc/sys/vm/max_map_count)" -ge 1000000 ] || sysctl -qw vm.max_map_count=1048576 2>/dev/null ||
    echo "uml: vm.max_map_count is low, large processes will be killed" >&2
RUN=$(mktemp -d /var/tmp/umlrun.XXXXXX)
trap 'rm -rf "$RUN"' EXIT
printf '%q ' "$@" >"$RUN/cmd"
echo >>"$RUN/cmd"
cat >"$RUN/init" <<INIT
#!/bin/bash
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 IN_UML=1
mount -t proc proc /proc; mount -t sysfs sys /sys
mountpoint -q /dev || mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm; mount -t devpts devpts /dev/pts; mount -t tmpfs -o mode=1777 shm /dev/shm
ln -sf /proc/self/fd /dev/fd; ln -sf /proc/self/fd/0 /dev/stdin
ln -sf /proc/self/fd/1 /dev/stdout; ln -sf /proc/self/fd/2 /dev/stderr
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/mods/lib /run/dbus /run/user/0 /run/udev; chmod 700 /run/user/0
cp -r "$UML_DIR/modules" /run/mods/lib/modules; export MODPROBE_OPTIONS="-d /run/mods"
mount -t hostfs -o "$RUN" none /mnt
mount -t tmpfs -o mode=1777 tmp /tmp
for folder in ${READ[*]:-}; do mkdir -p "\$folder"; mount -r -t hostfs -o "\$folder" none "\$folder"; done
mkdir -p "$WORKDIR"; mount -t hostfs -o "$WORKDIR" none "$WORKDIR"
[ -d /sys/fs/cgroup ] && mount -t cgroup2 cg /sys/fs/cgroup 2>/dev/null
ip link set lo up 2>/dev/null || /usr/bin/python3 - <<'PY'
import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sH14s", b"lo", 0x49, b""))
PY
hostname uml
cd "$WORKDIR"
export XDG_RUNTIME_DIR=/run/user/0
setsid bash /mnt/cmd </dev/null >/mnt/out 2>&1; echo \$? >/mnt/rc
sync
echo o >/proc/sysrq-trigger; sleep 10
INIT
chmod +x "$RUN/init"
: >"$RUN/out"
export TMPDIR=${UML_TMPDIR:-/dev/shm}
tail -n +1 -f "$RUN/out" &
TAIL=$!
timeout -k 5 "$LIMIT_S" "$UML_DIR/linux" mem="$MEM" root=/dev/root rootfstype=hostfs rootflags=/ ro \
    init="$RUN/init" con=null con0=null,fd:1 quiet panic=-1 </dev/null >"$RUN/console" 2>&1
status=$?
sleep 0.3
kill $TAIL 2>/dev/null
[ -n "${UML_CONSOLE:-}" ] && cp "$RUN/console" "$UML_CONSOLE"
[ -s "$RUN/rc" ] && exit "$(cat "$RUN/rc")"
echo "uml: no exit status (kernel rc=$status); console follows" >&2
tail -40 "$RUN/console" >&2
exit 125
