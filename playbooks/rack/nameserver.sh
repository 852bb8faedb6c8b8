#!/bin/bash
# nameserver.sh ROOT OUT: what Debian's knot adds to the hosts' file system ROOT, as a layer of its own in the directory OUT.
# So no host of the pool has a name server on it, and starting the rack's own installs nothing. Called by `rack`; needs root.
set -euo pipefail
export LC_ALL=C
root=$1 out=$2

# In a mount namespace of its own: whatever happens, no mount of ours is left on this machine.
[ "${3:-}" = inside ] || exec unshare --mount "$0" "$root" "$out" inside

mkdir -p "$out.new/layer" "$out.new/work" "$out.new/merged"
mount -t overlay nameserver -o "lowerdir=$root,upperdir=$out.new/layer,workdir=$out.new/work" "$out.new/merged"
mount --rbind /dev "$out.new/merged/dev"
mount --rbind /proc "$out.new/merged/proc"
cp --dereference /etc/resolv.conf "$out.new/merged/etc/resolv.conf"
# Nothing of this machine's environment, and no service: there is no systemd to start one.
env -i PATH="$PATH" LC_ALL=C DEBIAN_FRONTEND=noninteractive chroot "$out.new/merged" sh -ec '
  apt-get -qq update
  apt-get -qq install -y --no-install-recommends knot
' > "$out.new/log" 2>&1 || { tail -15 "$out.new/log" >&2; echo "rack: the name server could not be installed" >&2; exit 1; }
umount -l "$out.new/merged"
rm -rf --one-file-system "$out.new/layer"/var/lib/apt/lists "$out.new/layer"/var/cache/apt "$out.new/layer"/var/log
mv "$out.new/layer" "$out"
rm -rf --one-file-system "$out.new"
