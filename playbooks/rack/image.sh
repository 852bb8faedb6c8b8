#!/bin/bash
# image.sh DIRECTORY: build the file system every host of the rack starts from. Called by `rack image`; needs root.
set -euo pipefail
export LC_ALL=C
out=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The Debian sources of this very machine, so that no address is written down here. Other vendors' sources are left out:
# their keys are not known inside the new system.
# shellcheck disable=SC2016  # the words in $() are apt's own
sources=$(apt-get indextargets --format '$(ORIGIN) deb $(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
  sed -n 's/^Debian deb /deb /p' | sort -u)
[ -n "$sources" ] || { echo "image: this machine has no Debian package lists; run 'apt-get update' first" >&2; exit 1; }
packages=$(grep -v '^#' "$here/image-packages.txt" | paste -sd,)

# An apt that reaches its mirror only through a proxy, or whose mirror is a frozen snapshot, needs the same words inside.
apt_words=$(apt-config dump | grep -E '^Acquire::(https?::Proxy|Check-(Valid-Until|Date)) ' || :)

customize=$(mktemp)
trap 'rm -f "$customize"' EXIT
cat > "$customize" <<'HOOK'
#!/bin/bash
set -euo pipefail
root=$1
chroot "$root" useradd --create-home --shell /bin/bash ops
echo 'ops ALL=(ALL) NOPASSWD:ALL' > "$root/etc/sudoers.d/ops"
chmod 440 "$root/etc/sudoers.d/ops"
install -d -m 700 -o 1000 -g 1000 "$root/home/ops/.ssh"
# Every host makes its own key and machine id at its first boot: two hosts must never share them.
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/hostname"
: > "$root/etc/machine-id"
cat > "$root/etc/systemd/system/first-boot.service" <<'UNIT'
[Unit]
Description=Make this host its own ssh key
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" -C "" -f /etc/ssh/ssh_host_ed25519_key

[Install]
WantedBy=multi-user.target
UNIT
# MaxStartups: a pool's worth of runs may open connections at the same moment.
printf '%s\n' 'HostKey /etc/ssh/ssh_host_ed25519_key' 'UseDNS no' 'PasswordAuthentication no' 'MaxStartups 50:30:200' \
  > "$root/etc/ssh/sshd_config.d/rack.conf"
chroot "$root" systemctl --quiet enable first-boot.service
# Nothing may change a host behind our back between its baseline and its check; logins have no seat and no terminal here.
chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service \
  fstrim.timer dpkg-db-backup.timer systemd-logind.service getty.target console-getty.service \
  systemd-update-utmp.service systemd-update-utmp-runlevel.service
[ -z "$APT_WORDS" ] || printf '%s\n' "$APT_WORDS" > "$root/etc/apt/apt.conf.d/90machine"
HOOK
chmod 755 "$customize"

APT_WORDS=$apt_words mmdebstrap --quiet --variant=minbase --mode=root --format=directory --include="$packages" \
  --dpkgopt=force-unsafe-io \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-include=/usr/share/locale/locale.alias' \
  --aptopt='Acquire::Languages "none"' \
  --aptopt='Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false"' \
  ${apt_words:+--aptopt="$apt_words"} \
  --customize-hook="$customize" \
  bookworm "$out" - <<< "$sources"

# The lists look fresh but are emptied at the end of the build: without this, Ansible's cache_valid_time would believe them.
touch --date=@0 "$out/var/lib/apt/lists"
