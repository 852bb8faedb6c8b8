"""The configuration of one HAProxy, written whole from what was asked for, and the judgement of what may stand in it.

Nothing in here touches the host. A value that does not fit raises `Refused`, whose text is fit for the owner's eyes.
"""

from __future__ import annotations

import ipaddress
import json
import re

from ansible.module_utils.pumasi_places import NoPlace, place

MOST_BACKENDS = 8
BALANCES = ("roundrobin", "leastconn", "source")
HEALTH_PATH = re.compile(r"/[A-Za-z0-9._~%/?&=-]{0,199}", re.ASCII)
NAME = re.compile(r"[a-z0-9.-]{0,253}", re.ASCII)
USERNAME = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
# A $6$ hash of crypt(3): nothing in it that HAProxy's configuration would read as its own.
CRYPTED = re.compile(r"\$6\$[A-Za-z0-9./$=]{20,150}", re.ASCII)
# Pages of the proxy itself; the first is how the delivered credentials are tried, by the house's role for web servers.
MONITOR_PATH = "/.pumasi/health"
MONITOR_TEXT = "This service works."
NO_BACKEND_TEXT = "No backend is set for this proxy."

CONFIG = """# comment: {comment}
global
  chroot {chroot}
  user {unit}
  group {unit}
  nbthread {threads}
  maxconn {max_connections}
  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
  ssl-default-bind-ciphers ECDHE+AESGCM:ECDHE+CHACHA20
  # A connection of HTTP/2 takes memory for every request that it carries at once.
  tune.h2.max-concurrent-streams 20

defaults
  mode http
  timeout connect {connect}s
  timeout http-request {request}s
  timeout http-keep-alive {request}s
  timeout queue {timeout}s
  timeout client {timeout}s
  timeout server {timeout}s
  timeout check {connect}s

userlist owner
  user {username} password {crypted}

frontend clients
  bind {address}:{port} ssl crt {certificate} alpn h2,http/1.1
  maxconn {max_connections}
{hsts}  # req.hdr() would cut the header at a comma and judge the first part alone.
  acl host_given req.hdr_cnt(host) eq 1
  acl host_formed req.fhdr(host) -m reg '^([A-Za-z0-9_-][A-Za-z0-9_.-]{{0,252}}|\\[[0-9A-Fa-f:.]{{2,45}}\\])(:[0-9]{{1,5}})?$'
  http-request deny deny_status 400 if !host_given or !host_formed
  http-request deny deny_status 405 if {{ method CONNECT TRACE }}
  acl owner http_auth(owner)
  acl monitor path {monitor_path}
  http-request auth realm proxy if monitor !owner
  http-request return status 200 content-type text/plain string "{monitor_text}\\n" hdr Cache-Control no-store if monitor
{basic_auth}  # Servers that hand headers on as variables read x_forwarded_for and X-Forwarded-For as one.
  http-request del-header '^(x[-_]forwarded[-_].*|x[-_]real[-_]ip|forwarded|proxy)$' -m reg
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto https
  http-request set-header X-Forwarded-Host %[req.fhdr(host)]
  http-request set-header X-Forwarded-Port {port}
{target}"""

HSTS = "  http-after-response set-header Strict-Transport-Security max-age=31536000\n"

# The backends speak plain HTTP, so they are not shown the password.
BASIC_AUTH = """  http-request auth realm proxy unless owner
  http-request del-header Authorization
"""

NO_BACKEND = f"""  http-request return status 503 content-type text/plain string "{NO_BACKEND_TEXT}\\n" hdr Cache-Control no-store
"""

# Only what asks without changing anything is sent a second time; a connection that was refused never carried a request.
BACKENDS = """  default_backend servers

backend servers
  balance {balance}
  hash-type consistent
  option redispatch 1
  retries 3
  retry-on conn-failure empty-response
  http-request disable-l7-retry unless METH_GET
  option httpchk
  http-check send meth GET uri '{health_check}' ver HTTP/1.1 hdr Host {host}
  http-check expect status 200-399
  default-server check inter 2s fall 2 rise 2
{servers}"""


class Refused(ValueError):
    """A value that must not stand in the configuration."""


def backends(text, is_own):
    """The servers behind the proxy, from "10.1.2.3:8080 [fd00::1]:8080": a list of (address, port), each of them once.

    Addresses that lead to the host itself or to nobody in particular are refused; `is_own` says whether the host has an address.
    """
    found = []
    for word in text.split():
        try:
            address, port = place(word, is_own)
        except NoPlace as error:
            raise Refused(f"backends holds {error}.") from None
        if (address, port) in found:
            raise Refused("backends names a server twice.")
        found.append((address, port))
    if len(found) > MOST_BACKENDS:
        raise Refused(f"backends names more than {MOST_BACKENDS} servers.")
    return found


def written(address):
    """An address as it stands before a port."""
    return f"[{address}]" if address.version == 6 else str(address)


def configuration(given, crypted, servers):
    """The whole text. The comment is one JSON string, so it cannot end its line.

    :param given: the arguments of the module.
    :param crypted: the password as crypt(3) keeps it.
    :param servers: what `backends` made of the text.
    """
    fitting = (
        (given["balance"] in BALANCES, "balance"),
        (HEALTH_PATH.fullmatch(given["health_check"]), "health_check"),
        (1 <= given["timeout"] <= 300, "timeout"),
        (10 <= given["max_connections"] <= 2000, "max_connections"),
        (NAME.fullmatch(given["name"]), "name"),
        (USERNAME.fullmatch(given["username"]), "username"),
        (CRYPTED.fullmatch(crypted), "password"),
    )
    for fits, name in fitting:
        if not fits:
            raise Refused(f"{name} is outside of what it may be.")
    return CONFIG.format(
        comment=json.dumps(given["comment"]),
        chroot=given["chroot"],
        unit=given["unit"],
        threads=given["vcpu"],
        max_connections=given["max_connections"],
        connect=min(5, given["timeout"]),
        request=min(10, given["timeout"]),
        timeout=given["timeout"],
        username=given["username"],
        crypted=crypted,
        address=written(ipaddress.ip_address(given["address"])),
        port=given["port"],
        certificate=given["certificate"],
        hsts=HSTS if given["hsts"] else "",
        monitor_path=MONITOR_PATH,
        monitor_text=MONITOR_TEXT,
        basic_auth=BASIC_AUTH if given["basic_auth"] else "",
        target=target(given, servers),
    )


def target(given, servers):
    """Where requests go."""
    if not servers:
        return NO_BACKEND
    return BACKENDS.format(
        balance=given["balance"],
        health_check=given["health_check"],
        # As in a client's request: an application may answer to that name only.
        host=f"{given['name'] or written(ipaddress.ip_address(given['address']))}:{given['port']}",
        servers="".join(
            f"  server backend{number} {written(address)}:{port}\n" for number, (address, port) in enumerate(servers, 1)
        ),
    )
