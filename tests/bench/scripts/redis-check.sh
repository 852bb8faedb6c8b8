# Use the delivered server from this machine, as the playbook's check does: write, read back, remove; a wrong password fails.
set -eu
client="redis-cli -h $ADDRESS -p $PORT --no-auth-warning --user $USERNAME"
seen=$(printf 'SET bench:check %s\nGET bench:check\nDEL bench:check\n' "$UNIT" | REDISCLI_AUTH=$PASSWORD $client | tr '\n' ' ')
[ "$seen" = "OK $UNIT 1 " ]
refused=$(REDISCLI_AUTH=wrong $client PING 2>&1 || :)
case "$refused" in *PONG*) exit 1 ;; esac
