# shellcheck shell=bash disable=SC2154  # sourced by `rack`, which sets conf, state, subnet, bridge, name, id, image and here
# The rack's name server: Debian's knot in a container of its own beside the hosts. It is no part of the pool, serves one domain
# and takes changes signed with its key only. It is on while any host is, and keeps its names when it is off.

nameserver_address() { echo "$subnet.2"; }

nameserver_up() {
  local dir=$state/nameserver layer=$image/nameserver domain=${conf[RACK_DOMAIN]} root
  root=$dir/root
  if [ ! -d "$layer" ]; then  # an image from before there was one
    layer=$state/nameserver-layer
    [ -d "$layer" ] || { erase "$layer.new"; "$here/nameserver.sh" "$image/root" "$layer"; }
  fi
  mkdir -p "$dir/upper" "$dir/work" "$root"
  mounted "$root" || mount -t overlay "$name-nameserver" -o "lowerdir=$layer:$image/root,upperdir=$dir/upper,workdir=$dir/work" "$root"
  if pod container exists nameserver; then
    [ "$(power_of nameserver)" = on ] || pod start nameserver >/dev/null
  else
    [ -f "$dir/key" ] || (umask 077; head -c 32 /dev/urandom | base64 -w0 > "$dir/key.new" && mv "$dir/key.new" "$dir/key")
    (umask 077; cat > "$root/etc/knot/knot.conf" <<CONF
server:
    listen: 0.0.0.0@53
    user: knot:knot
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: warning
key:
  - id: catalog
    algorithm: hmac-sha256
    secret: $(cat "$dir/key")
acl:
  - id: catalog
    key: catalog
    action: update
    update-type: [A, AAAA]
zone:
  - domain: $domain
    storage: /var/lib/knot
    file: names.zone
    acl: catalog
CONF
    )
    [ -f "$root/var/lib/knot/names.zone" ] || cat > "$root/var/lib/knot/names.zone" <<ZONE
$domain. 60 SOA ns.$domain. pumasi.$domain. 1 60 60 3600 5
$domain. 60 NS ns.$domain.
ns.$domain. 60 A $(nameserver_address)
ZONE
    chroot "$root" chown -R knot:knot /var/lib/knot /etc/knot
    chroot "$root" install -d -o knot -g knot /run/knot
    pod run --detach --name nameserver --hostname nameserver --label "pumasi-rack=$name" --network "$bridge" \
      --ip "$(nameserver_address)" --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --cgroup-parent "/pumasi-rack-$id" \
      --memory 256m --log-driver none --rootfs "$root" /usr/sbin/knotd -c /etc/knot/knot.conf >/dev/null
  fi
}

nameserver_ready() { # wait up to 20 s until it takes connections
  local deadline=$((SECONDS + 20))
  while [ $SECONDS -lt $deadline ]; do
    ! timeout 1 bash -c "exec 3<>/dev/tcp/$(nameserver_address)/53" 2>/dev/null || return 0
    sleep 0.05
  done
  fail "the name server does not answer on $(nameserver_address)"
}

nameserver_on() { # side by side with others
  exec 6> "$state/nameserver.lock"
  flock --wait 60 6 || fail "another rack command has been at work on the name server for a minute"
  nameserver_up
  exec 6<&-
  nameserver_ready
}

nameserver_off() { # with the last host
  local running
  running=$(pod ps --format '{{.Names}}')
  [ "$running" != nameserver ] || pod kill --signal TERM nameserver >/dev/null 2>&1 || remove_container nameserver
}
