"""What a RabbitMQ broker promises beside what any service does: encrypted connections only, a certificate to trust, a limit."""

import socket
import ssl
from pathlib import Path

import amqp
import pytest

from tests.playbooks.conftest import HOST
from tests.playbooks.slices import Slice
from tests.rack.driver import Rack

pytestmark = pytest.mark.rack

PLAIN_HELLO = b"AMQP\x00\x00\x09\x01"
TLS_ALERT = b"\x15"


def connect(one: Slice, authority: Path) -> amqp.Connection:
    """A client that trusts nothing but the certificate it was given."""
    connection = amqp.Connection(
        host=f"{one.address}:{one.port}",
        userid=one.username,
        password=one.password,
        login_method="PLAIN",
        virtual_host=one.credentials["vhost"],
        ssl={"cert_reqs": ssl.CERT_REQUIRED, "ca_certs": str(authority), "server_hostname": one.address},
        heartbeat=300,
        connect_timeout=5,
        read_timeout=5,
    )
    connection.connect()
    return connection


def connections(one: Slice, authority: Path) -> int:
    """How many connections the broker takes before it says that there are enough."""
    taken: list[amqp.Connection] = []
    try:
        with pytest.raises(amqp.NotAllowed, match="connection limit"):
            for _ in range(20):
                taken.append(connect(one, authority))
    finally:
        for each in taken:
            each.close()
    return len(taken)


def test_it_keeps_what_was_asked_for_also_when_that_changes(
    service_rack: Rack, workplace: Path, tmp_path: Path
) -> None:
    one = Slice(service_rack, HOST, "rabbitmq", workplace, parameters={"max_connections": 5, "heartbeat_seconds": 30})
    authority = tmp_path / "certificate.pem"
    authority.write_text(one.done("provision").outputs["certificate"])
    with connect(one, authority) as connection:
        assert connection.server_heartbeat == 30
    assert connections(one, authority) == 5
    with socket.create_connection((one.address, one.port), timeout=5) as plain:
        plain.sendall(PLAIN_HELLO)
        assert plain.recv(1) == TLS_ALERT
    assert one.query(one.client.write).stdout.split()[-1] == "7"

    # Killed when what the broker reads was just written: the next attempt must not take that for done.
    one.parameters = {"max_connections": 7, "vhost": "app"}
    definitions = one.on_disk("/etc/pumasi/slices/{unit}/definitions.json")
    before = definitions.read_text()
    one.abort(lambda: definitions.read_text() != before)
    one.done("provision")
    assert connections(one, authority) == 7
    assert one.query(one.client.read).stdout.split()[-1] == "7"
    one.done("decommission")
    assert one.leftovers() == []
