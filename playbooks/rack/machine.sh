# shellcheck shell=bash disable=SC2154  # sourced by `rack`, which sets conf, subnet, run, bridge, id and here
# What the rack needs of this machine, what it changes there while hosts stand, and how it gives that back.

shared=/run/pumasi-rack     # short, because podman refuses a run directory of more than 50 characters
route_metric=4000           # worse than any real route, so that it only counts when the bridge is gone
podman_places=(/run/containers/networks/ipam.db /run/containers/networks /run/containers /run/runc /run/netns)

doctor() { # doctor [image]: to build the image no network is needed, so nobody's range is in its way
  local missing=() packages other
  [ "$(id -u)" = 0 ] || missing+=("not root: the rack mounts disks and makes network links (without root: rent hosts by ssh and enrol them by hand, playbooks/hosts needs no rack)")
  # shellcheck disable=SC1091
  case " $(. /etc/os-release 2>/dev/null; echo "${ID:-} ${ID_LIKE:-}") " in *" debian "*) ;; *) missing+=("not Debian: the image is built with Debian's mmdebstrap from this machine's apt sources (enrol hosts you have by ssh instead)") ;; esac
  packages=$(dpkg-query -W -f '${Package} ${db:Status-Abbrev}\n' 2>/dev/null | sed -n 's/ ii *$//p' || :)
  other=$(grep -v '^#' "$here/packages.txt" | grep -vxF "$packages" | paste -sd' ' || :)
  [ -z "$other" ] || missing+=("packages missing: apt-get install -y --no-install-recommends $other")
  unshare --mount --net --pid --uts --ipc --fork true 2>/dev/null || missing+=("no namespaces: this machine does not let root make its own mount, network and process spaces (enrol hosts you have by ssh instead)")
  [ -d /sys/fs/cgroup ] && [ -n "$(ls -A /sys/fs/cgroup 2>/dev/null)" ] || missing+=("no cgroups mounted at /sys/fs/cgroup")
  grep -qw overlay /proc/filesystems || modprobe -nq overlay 2>/dev/null || missing+=("no overlay file system in this kernel")
  [ "${conf[RACK_DISK]}" = none ] || losetup -f >/dev/null 2>&1 || missing+=("no loop devices: set RACK_DISK=none (hosts share this machine's disk, 'fill' is refused)")
  other=""; [ "${1:-}" = image ] || other=$(ip -4 route show root "$subnet.0/24" 2>/dev/null | grep -v -e "dev $bridge " -e '^unreachable' || :)
  [ -z "$other" ] || missing+=("the range $subnet.0/24 is in use here ($other): set another RACK_SUBNET")
  [ "${#missing[@]}" = 0 ] && return
  printf 'rack: %s\n' "${missing[@]}" >&2
  exit 2
}

note() { grep -qxF "absent $1" "$shared/before" 2>/dev/null || echo "absent $1" >> "$shared/before"; }

remember() { # remember KEY: note a sysctl's value before any rack of this machine changes it
  grep -q "^$1=" "$shared/before" 2>/dev/null || echo "$1=$(sysctl -n "$1")" >> "$shared/before"
}

machine_up() {
  mkdir -p "$run"
  exec 8</run; flock 8        # racks side by side share the machine's settings: the first changes them, the last restores them
  remember fs.inotify.max_user_instances
  remember net.ipv4.ip_forward
  firewall_chains || note chains
  local place
  for place in "${podman_places[@]}"; do [ -e "$place" ] || note "$place"; done
  # systemd takes four inotify instances in every host, and all hosts are the same user to the kernel: 128 stops at 32 hosts
  [ "$(sysctl -n fs.inotify.max_user_instances)" -ge 8192 ] || sysctl -qw fs.inotify.max_user_instances=8192
  exec 8<&-
  # A packet for a host that is down must not leave this machine by the default route.
  ip route replace unreachable "$subnet.0/24" metric "$route_metric"
}

firewall_chains() { iptables -t nat -S 2>/dev/null | grep -q NETAVARK; }

forget_chains() { # netavark leaves its common chains behind; they go if no network of anybody uses them and we brought them
  local chain
  ! iptables -t nat -S | grep -qE '^-N NETAVARK-[0-9A-F]{8,}' || return 0
  iptables -D FORWARD -m comment --comment 'netavark firewall plugin rules' -j NETAVARK_FORWARD 2>/dev/null || :
  iptables -t nat -D PREROUTING -m addrtype --dst-type LOCAL -j NETAVARK-HOSTPORT-DNAT 2>/dev/null || :
  iptables -t nat -D OUTPUT -m addrtype --dst-type LOCAL -j NETAVARK-HOSTPORT-DNAT 2>/dev/null || :
  iptables -t nat -D POSTROUTING -j NETAVARK-HOSTPORT-MASQ 2>/dev/null || :
  for chain in NETAVARK-HOSTPORT-DNAT NETAVARK-HOSTPORT-MASQ NETAVARK-HOSTPORT-SETMARK; do
    ! iptables -t nat -F "$chain" 2>/dev/null || iptables -t nat -X "$chain" 2>/dev/null || :
  done
  ! iptables -F NETAVARK_FORWARD 2>/dev/null || iptables -X NETAVARK_FORWARD 2>/dev/null || :
}

forget_places() { # what podman and netavark keep outside every configured directory; only what was not there, only when empty
  local place
  for place in "${podman_places[@]}"; do
    grep -qxF "absent $place" "$shared/before" || continue
    if [ -f "$place" ]; then rm "$place"; continue; fi
    [ ! -d "$place" ] || [ -n "$(ls -A "$place")" ] || { ! mountpoint -q "$place" || umount "$place"; rmdir "$place"; }
  done
}

machine_down() {
  ip route del unreachable "$subnet.0/24" metric "$route_metric" 2>/dev/null || :
  erase "$run"
  find /sys/fs/cgroup -depth -type d -path "*/pumasi-rack-$id*" -exec rmdir {} + 2>/dev/null || :
  [ -d "$shared" ] || return 0
  exec 8</run; flock 8
  if [ -z "$(find "$shared" -mindepth 1 -maxdepth 1 -type d)" ]; then
    grep -v '^absent ' "$shared/before" | sysctl -qp - || :
    ! grep -qxF 'absent chains' "$shared/before" || forget_chains
    forget_places
    rm -rf "$shared"
  fi
  exec 8<&-
}
