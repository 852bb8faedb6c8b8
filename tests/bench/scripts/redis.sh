# The same for Redis: one server under a unix user of its own, with its limits and its firewall table; see postgresql.sh.
set -eu
slice=/etc/pumasi/slices/$UNIT service=redis-server@$UNIT.service

ln -sf /dev/null /etc/systemd/system/redis-server.service
if ! dpkg -s redis-server nftables > /dev/null 2>&1; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update
  apt-get -qq install --no-install-recommends redis-server nftables > /dev/null
fi

mkdir -p "$slice" "/etc/systemd/system/$service.d"
cat > "$slice/firewall.nft" <<END
table inet pumasi_$UNIT
delete table inet pumasi_$UNIT
table inet pumasi_$UNIT {
  chain input {
    type filter hook input priority filter; policy accept;
    ip saddr { $NETWORK } tcp dport $PORT accept
    tcp dport $PORT drop
  }
}
END
nft -f "$slice/firewall.nft"
cat > "/etc/systemd/system/$service.d/pumasi.conf" <<END
[Unit]
Wants=network-online.target
After=network-online.target

[Service]
ExecStartPre=+/usr/sbin/nft -f $slice/firewall.nft
MemoryMax=${MEMORY_MB}M
CPUQuota=$((100 * VCPU))%
TimeoutStopSec=30
User=$UNIT
Group=$UNIT
StateDirectory=pumasi/$UNIT
StateDirectoryMode=0700
LogsDirectory=pumasi/$UNIT
LogsDirectoryMode=0700
ExecStart=
ExecStart=/usr/bin/redis-server $slice/redis.conf --supervised systemd --daemonize no
END
systemctl daemon-reload

useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$UNIT"
cat > "$slice/redis.conf" <<END
# comment: ""
bind $ADDRESS
protected-mode yes
port $PORT
daemonize no
dir /var/lib/pumasi/$UNIT
logfile /var/log/pumasi/$UNIT/redis.log
maxmemory $((MEMORY_MB * 3 / 4))mb
maxmemory-policy noeviction
maxmemory-clients $((MEMORY_MB / 16))mb
appendonly no
save 3600 1 300 100 60 10000
user default reset off
user $USERNAME reset on #$(printf %s "$PASSWORD" | sha256sum | cut -d' ' -f1) ~* &* +@all -@admin -@dangerous +info +keys +flushdb +flushall +sort +sort_ro +restore
END
chown "root:$UNIT" "$slice/redis.conf"
chmod 640 "$slice/redis.conf"
systemctl enable --quiet "$service"
systemctl restart "$service"
