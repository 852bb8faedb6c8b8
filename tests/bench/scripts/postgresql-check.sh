# Use the delivered database from this machine, as the playbook's check does: write, read back, remove; a wrong password fails.
set -eu
where="host=$ADDRESS port=$PORT dbname=$DATABASE user=$USERNAME sslmode=require connect_timeout=5"
seen=$(PGPASSWORD=$PASSWORD psql -qXAt -v ON_ERROR_STOP=1 "$where" <<END
CREATE TABLE bench_check (word text);
INSERT INTO bench_check VALUES ('$UNIT');
SELECT word FROM bench_check;
DROP TABLE bench_check;
END
)
[ "$seen" = "$UNIT" ]
! PGPASSWORD=wrong psql -qXAt "$where" -c 'SELECT 1' > /dev/null 2>&1
