# What an administrator would write instead of a playbook, run as root on the host: one PostgreSQL cluster, its user and database, its
# certificate, its limits and its firewall table. It ends in the same state, byte for byte: the bench has the playbook look,
# which must find nothing to change. Values come as variables on standard input, in front of this text.
set -eu
slice=/etc/pumasi/slices/$UNIT config=/etc/postgresql/15/$UNIT service=postgresql@15-$UNIT.service

mkdir -p /etc/postgresql-common/createcluster.d
echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/pumasi.conf
if ! dpkg -s postgresql-15 nftables openssl > /dev/null 2>&1; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update
  apt-get -qq install --no-install-recommends postgresql-15 nftables openssl > /dev/null
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
END
systemctl daemon-reload

pg_createcluster 15 "$UNIT" --port "$PORT" --locale C.UTF-8 --encoding UTF8 --start-conf auto -- \
  --auth-local peer --auth-host scram-sha-256 --data-checksums > /dev/null
touch "$slice/cluster"
runuser -u postgres -- openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
  -subj "/CN=$UNIT" -addext "subjectAltName=IP:$ADDRESS" -keyout "$config/server.key" -out "$config/server.crt" 2> /dev/null
chmod 600 "$config/server.key"
shared=$((MEMORY_MB * 25 / 100))
cat > "$config/conf.d/pumasi.conf" <<END
listen_addresses = '$ADDRESS'
port = '$PORT'
max_connections = '20'
superuser_reserved_connections = '3'
shared_buffers = '${shared}MB'
effective_cache_size = '$((MEMORY_MB * 3 / 4))MB'
work_mem = '$(((MEMORY_MB - shared) * 1024 / 40))kB'
maintenance_work_mem = '$((MEMORY_MB / 16))MB'
max_wal_size = '$((DISK_GB * 1024 / 8))MB'
temp_file_limit = '$((DISK_GB * 1024 / 4))MB'
max_parallel_workers = '$VCPU'
password_encryption = 'scram-sha-256'
ssl = 'on'
ssl_cert_file = '$config/server.crt'
ssl_key_file = '$config/server.key'
ssl_min_protocol_version = 'TLSv1.2'
timezone = 'Asia/Seoul'
log_timezone = 'Asia/Seoul'
END
printf 'local all postgres peer\nhostssl all all %s scram-sha-256\n' "$NETWORK" > "$config/pg_hba.conf"
chown postgres:postgres "$config/conf.d/pumasi.conf" "$config/pg_hba.conf"
chmod 640 "$config/pg_hba.conf"
systemctl restart "$service"
pg_isready --quiet --timeout=30 --host /var/run/postgresql --port "$PORT"

runuser -u postgres -- psql -qX -v ON_ERROR_STOP=1 -h /var/run/postgresql -p "$PORT" postgres <<END
CREATE ROLE $USERNAME LOGIN PASSWORD '$PASSWORD';
CREATE DATABASE $DATABASE OWNER $USERNAME TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER libc LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8';
REVOKE ALL ON DATABASE $DATABASE, postgres, template1 FROM PUBLIC;
END
