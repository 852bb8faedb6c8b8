"""How the owner of each service uses it: the real client, with nothing but what was delivered."""

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import yaml

from tests.rack.driver import PLAYBOOKS


@dataclass(frozen=True)
class Access:
    """What the owner is given."""

    address: str
    port: int
    credentials: Mapping[str, str]


@dataclass(frozen=True)
class Client:
    """The real client of one service.

    :param command: its words, and what its environment holds.
    :param write: statements that keep something and show it; of a service without data, a statement that it answers.
    :param read: statements that show the same again.
    :param shown: the last word of what both show.
    :param ping: a statement that any service of the kind answers with ``pong``.
    :param forbidden: statements with which an owner could leave the service or look at a neighbour.
    :param refusal: what it says of these, as a regular expression.
    :param data: a path that is there as long as the data is; ``{unit}`` in its name.
    :param comment: what shows the comment as JSON: a statement, or a file that begins with it.
    :param memory_mb: what a slice of it has, in MB.
    :param inner: a pattern of the loopback addresses and ports over which its own parts speak to each other.
    """

    command: Callable[[Access], tuple[list[str], dict[str, str]]]
    write: str
    read: str
    ping: str
    pong: str
    forbidden: tuple[str, ...]
    refusal: str
    data: str
    comment: str
    shown: str = "7"
    memory_mb: int = 256
    inner: str = ""

    def query(self, access: Access, statement: str) -> "subprocess.CompletedProcess[str]":
        """One statement, from this machine."""
        argv, environment = self.command(access)
        environment |= {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            argv, input=statement, env=environment, capture_output=True, text=True, timeout=60, check=False
        )


def _psql(access: Access) -> tuple[list[str], dict[str, str]]:
    given = access.credentials
    return ["psql", "-XAtw", "-v", "ON_ERROR_STOP=1", "-f", "-"], {
        "PGHOST": access.address, "PGPORT": str(access.port), "PGDATABASE": given["database"], "PGUSER": given["username"],
        "PGPASSWORD": given["password"], "PGCONNECT_TIMEOUT": "5",
    }  # fmt: skip


def _mariadb(access: Access) -> tuple[list[str], dict[str, str]]:
    given = access.credentials
    where = ["-h", access.address, "-P", str(access.port), "-u", given["username"], given["database"]]
    words = ["mariadb", "--no-defaults", "--ssl", "--connect-timeout=5", "--batch", "--skip-column-names"]
    return [*words, *where], {"MYSQL_PWD": given["password"]}


def _redis_cli(access: Access) -> tuple[list[str], dict[str, str]]:
    where = ["-h", access.address, "-p", str(access.port)]
    words = ["redis-cli", *where, "--no-auth-warning", "--user", access.credentials["username"]]
    return words, {"REDISCLI_AUTH": access.credentials["password"]}


def _curl(access: Access) -> tuple[list[str], dict[str, str]]:
    """Statements are lines of curl's own configuration, to which the password is added; it stands in no command line."""
    script = """{ printf 'user = "%s:%s"\\n' "$USERNAME" "$PASSWORD"; cat; } | curl --config - "$URL" """
    host = f"[{access.address}]" if ":" in access.address else access.address
    url = f"https://{host}:{access.port}/.pumasi/health"
    given = {"USERNAME": access.credentials["username"], "PASSWORD": access.credentials["password"]}
    return ["sh", "-c", script], {"URL": url, **given}


# librabbitmq speaks to nobody whose certificate it does not trust.
AMQP_TOOLS = """
ca=$(mktemp); trap 'rm -f "$ca"' EXIT
openssl s_client -connect "$PLACE" </dev/null 2>/dev/null | openssl x509 >"$ca"
amqp() { tool=$1; shift; "amqp-$tool" --url="$URL" --cacert="$ca" "$@"; }
eval "$(cat)"
"""


def _amqp_tools(access: Access) -> tuple[list[str], dict[str, str]]:
    given, place = access.credentials, f"{access.address}:{access.port}"
    url = f"amqps://{given['username']}:{given['password']}@{place}/{given['vhost']}"
    return ["sh", "-euc", AMQP_TOOLS], {"PLACE": place, "URL": url}


# Everything a browser would do for the admin, with the cookies of a session and then with a token of it.
JUPYTERHUB = """
kept=$(mktemp); readonly kept; trap 'rm -f "$kept"' EXIT
ask() { curl -sSk --connect-timeout 5 -b "$kept" -c "$kept" -e "$URL/hub/home" "$@"; }
printf 'username=%s&password=%s' "$USERNAME" "$PASSWORD" | ask --data @- "$URL/hub/login?next=%2Fhub%2Fhome" >/dev/null
me="$URL/hub/api/users/$USERNAME" mine="$URL/user/$USERNAME"
token=$(ask -X POST -H 'Content-Type: application/json' -d '{"expires_in": 600}' "$me/tokens" | jq -r .token)
api() { ask -H "Authorization: token $token" -H 'Content-Type: application/json' "$@"; }
server() { until api "$me" | jq -e '.servers[""].ready' >/dev/null; do api -X POST "$me/server" >/dev/null; sleep 1; done; }
stranger() { : >"$kept"; token=wrong; }
eval "$(cat)"
"""


def _jupyterhub(access: Access) -> tuple[list[str], dict[str, str]]:
    host = f"[{access.address}]" if ":" in access.address else access.address
    given = {"USERNAME": access.credentials["username"], "PASSWORD": access.credentials["password"]}
    return ["sh", "-euc", JUPYTERHUB], {"URL": f"https://{host}:{access.port}", **given}


# Requests to any web server of ours that lead to nothing, or to somewhere else.
_FORBIDDEN = (
    'request = "TRACE"\n',
    'http1.1\nrequest = "CONNECT"\nrequest-target = "127.0.0.1:22"\n',
    'header = "Host: 127.0.0.1,10.1.2.3"\n',
    'header = "Host: ../../etc"\n',
    'header = "Host: user@127.0.0.1"\n',
)
# The address stands for the name: requests that WordPress would send on to the name are not among these.
WORDPRESS_TOOLS = """
jar=$(mktemp); trap 'rm -f "$jar"' EXIT
web() { path=$1; shift; curl -sSkm 15 --cookie "$jar" --cookie-jar "$jar" "$@" "$SITE$path"; }
status() { web "$@" --output /dev/null --write-out '%{http_code}'; }
rest() { method=$1 route=$2; shift 2; web "/?rest_route=$route" --request "$method" --header "X-WP-Nonce: $nonce" "$@"; }
web /wp-login.php --output /dev/null
printf 'data-urlencode = "log=%s"\ndata-urlencode = "pwd=%s"\n' "$USERNAME" "$PASSWORD" |
    web /wp-login.php --config - --output /dev/null
nonce=$(web '/wp-admin/admin-ajax.php?action=rest-nonce')
eval "$(cat)"
"""


def _wordpress_tools(access: Access) -> tuple[list[str], dict[str, str]]:
    host = f"[{access.address}]" if ":" in access.address else access.address
    given = {"USERNAME": access.credentials["username"], "PASSWORD": access.credentials["password"]}
    # Statements come on standard input, behind the tools.
    return ["sh", "-euc", WORDPRESS_TOOLS], {"SITE": f"https://{host}:{access.port}", **given}


_TITLES = """rest GET '/wp/v2/posts&_fields=title&status=publish' | sed 's/.*"rendered":"\\([^"]*\\)".*/\\1/'"""
_PAGE = "silent\nshow-error\ninsecure\nconnect-timeout = 5\n"


def _web(data: str, config: str = "nginx.conf", refusal: str = "not allowed|bad request") -> Client:
    """A service behind a web server of ours, which has a page that only the owner may read."""
    return Client(
        _curl,
        write=_PAGE,
        read=_PAGE,
        ping=_PAGE,
        pong="This service works.",
        forbidden=tuple(_PAGE + each for each in _FORBIDDEN),
        refusal=refusal,
        data=data,
        comment="/etc/pumasi/slices/{unit}/" + config,
        shown="works.",
    )


CLIENTS = {
    "haproxy": _web(
        "/var/lib/pumasi/{unit}", "haproxy.cfg", "(command|method) not allowed|invalid request|bad request"
    ),
    "jupyterhub": Client(
        _jupyterhub,
        write="""server; api -X PUT -d '{"type": "file", "format": "text", "content": "7"}' $mine/api/contents/loans >/dev/null
            api $mine/api/contents/loans | jq -r .content""",
        read="server; api $mine/api/contents/loans | jq -r .content",
        ping="api $URL/hub/api/ | jq -r .version",
        pong="3.0.0",
        forbidden=(
            "server; api -f --path-as-is $mine/api/contents/../../../../../etc/passwd",
            "server; api -f $mine/api/contents/%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
            'api -f -X PUT -d \'{"password": "a-password-of-mine"}\' $me/password',
            "api -f -X POST $URL/hub/api/users/root%2F..%2Fx",
            "api -f -X POST $URL/hub/api/users/Root",
            "stranger; api -f $URL/hub/api/users",
            "server; stranger; api -f $mine/api/kernels",
            "server; stranger; api -f $mine/metrics",
        ),
        refusal="returned error: 40[034]",
        data="/var/lib/pumasi/{unit}/hub/jupyterhub.sqlite",
        comment="/etc/pumasi/slices/{unit}/nginx.conf",
        memory_mb=2048,
        inner=r"127\.\d+\.\d+\.1:8081",
    ),
    "mariadb": Client(
        _mariadb,
        write="CREATE TABLE loans (id int); INSERT INTO loans VALUES (7); SELECT id FROM loans;",
        read="SELECT id FROM loans;",
        ping="SELECT 1;",
        pong="1",
        forbidden=(
            "SELECT 1 INTO OUTFILE '/tmp/out';",
            "LOAD DATA INFILE '/etc/passwd' INTO TABLE loans;",
            "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE loans;",
            "SELECT * FROM mysql.global_priv;",
            "CREATE USER other;",
            "GRANT SELECT ON appdb.* TO PUBLIC;",
            "CREATE DATABASE other;",
            "SET GLOBAL local_infile = 1;",
            "INSTALL SONAME 'auth_pam';",
            "CREATE FUNCTION sys_exec RETURNS int SONAME 'udf.so';",
            "CREATE DEFINER = root@localhost PROCEDURE whoami() SELECT user();",
            "SHUTDOWN;",
        ),
        refusal="Access denied|command denied|LOAD DATA LOCAL INFILE is disabled|command is not allowed",
        data="/var/lib/pumasi/{unit}/data/ibdata1",
        comment="/etc/pumasi/slices/{unit}/comment.json",
    ),
    "postgresql": Client(
        _psql,
        write="CREATE TABLE loans (id int); INSERT INTO loans VALUES (7); SELECT id FROM loans;",
        read="SELECT id FROM loans;",
        ping="SELECT 1;",
        pong="1",
        forbidden=(
            "COPY (SELECT 1) TO PROGRAM 'id';",
            "SELECT pg_read_file('/etc/passwd');",
            "CREATE ROLE other SUPERUSER;",
            "CREATE DATABASE other;",
            "ALTER SYSTEM SET port = 1;",
            "\\connect postgres",
        ),
        refusal="permission denied|must be superuser",
        data="/var/lib/postgresql/15/{unit}/PG_VERSION",
        comment="SELECT to_json(shobj_description(oid, 'pg_database')) FROM pg_database WHERE datname = 'appdb'",
    ),
    "python-app": _web("/var/lib/pumasi/{unit}/releases"),
    "rabbitmq": Client(
        _amqp_tools,
        write="amqp declare-queue -dq loans; amqp publish -pr loans -b 7; echo 7",
        read='seven=$(amqp get -q loans); amqp publish -pr loans -b "$seven"; echo "$seven"',
        ping="amqp publish -r nowhere -b ping; echo pong",
        pong="pong",
        forbidden=(
            "amqp declare-queue -q amq.mine",
            "URL=${URL%/*}/%2f; amqp declare-queue -q mine",
            "URL=amqps://guest:guest@$PLACE/%2f; amqp declare-queue -q mine",
        ),
        refusal="ACCESS_REFUSED|NOT_ALLOWED",
        data="/var/lib/pumasi/{unit}/node/schema.DAT",
        comment="/etc/pumasi/slices/{unit}/rabbitmq.conf",
    ),
    "redis": Client(
        _redis_cli,
        write="SET loans 7\nGET loans\n",
        read="GET loans\n",
        ping="PING\n",
        pong="PONG",
        forbidden=(
            "CONFIG SET dir /etc\n",
            "ACL LIST\n",
            "DEBUG SLEEP 0\n",
            "REPLICAOF 10.82.0.12 1\n",
            "SHUTDOWN\n",
            "MODULE LIST\n",
        ),
        refusal="NOPERM|command not allowed",
        data="/var/lib/pumasi/{unit}/dump.rdb",
        comment="/etc/pumasi/slices/{unit}/redis.conf",
    ),
    "static-site": _web("/var/lib/pumasi/{unit}/releases"),
    "wordpress": Client(
        _wordpress_tools,
        write=f"rest POST /wp/v2/posts --data title=7 --data status=publish --output /dev/null; {_TITLES}",
        read=_TITLES,
        ping="web /wp-login.php | grep -om1 'id=.loginform.'",
        pong='id="loginform"',
        forbidden=(
            "status /wp-admin/install.php",
            "status /wp-admin/setup-config.php",
            "status /wp-admin/plugin-editor.php",
            "status /wp-config.php",
            "status /wp-includes/version.php",
            "status /wp-content/mu-plugins/pumasi.php",
            "status /xmlrpc.php --data '<methodCall/>'",
            "status /wp-content/../../../etc/passwd --path-as-is",
            "status '/wp-content%2f..%2f..%2fdb/data/ibdata1' --path-as-is",
            "rest POST /wp/v2/plugins --data slug=akismet --output /dev/null --write-out '%{http_code}'",
        ),
        refusal="^(400|403|404)$",
        data="/var/lib/pumasi/{unit}/db/data/ibdata1",
        comment="/etc/pumasi/slices/{unit}/comment.json",
    ),
}
_MANIFESTS = {
    path.parent.name: yaml.safe_load(path.read_text()) for path in (PLAYBOOKS / "services").glob("*/service.yml")
}
SERVICES = tuple(sorted(slug for slug, said in _MANIFESTS.items() if "uses" not in said))
STACKS = tuple(sorted(_MANIFESTS.keys() - set(SERVICES)))
"""What is made of several of them, and has no role or client of its own."""
