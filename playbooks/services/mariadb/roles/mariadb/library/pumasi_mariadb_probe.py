#!/usr/bin/python3
"""Use a delivered MariaDB the way its owner will: over the network, encrypted, with the real password.

Writes a row, reads it back and removes it, with the server's certificate checked against the address; then shows that a
wrong password and an unencrypted connection are refused. Speaks the client/server protocol (version 10) itself, as much as
this takes. Runs where clients are (the controller); seconds are those of one answer.
Returns `problem`: "" or one of `unreachable`, `login_refused`, `certificate_wrong`, `write_failed`,
`wrong_password_accepted`, `unencrypted_accepted`, `refusal_unclear`; with the server's own words in `detail`.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
import struct

from ansible.module_utils.basic import AnsibleModule

# Capabilities a client asks for: 4.1 protocol with scrambled passwords, a database at login, names of methods; and TLS.
ASKED = 0x1 | 0x8 | 0x200 | 0x8000 | 0x80000
TLS = 0x800
UTF8MB4 = 45
PACKET_LIMIT = 0xFFFFFF
METHOD = "mysql_native_password"
COM_QUIT, COM_QUERY = b"\x01", b"\x03"
OK, EOF, ERROR, NULL = 0x00, 0xFE, 0xFF, 0xFB

# Access denied, and connections without encryption prohibited; an account that requires encryption is refused with the former.
REFUSALS = (1045, 3159)

TABLE = "pumasi_verify_%s"
# Another try may be under way; whose session has ended holds no lock.
MINE = "SELECT GET_LOCK('%s', 20)"
MAKE = ("DROP TABLE IF EXISTS %s", "CREATE TABLE %s (word varchar(10) NOT NULL)", "INSERT INTO %s VALUES ('pumasi')")
READ = "SELECT word FROM %s"
REMOVE = ("DELETE FROM %s", "DROP TABLE %s")


class Problem(Exception):
    """The server does not work as promised; its arguments are the `problem` and the `detail` of the module."""


class Refused(Exception):
    """The server answered with an error.

    :ivar number: MariaDB's own.
    """

    def __init__(self, packet):
        self.number = int.from_bytes(packet[1:3], "little")
        text = packet[3:]
        super().__init__(f"{self.number}: {text[6 if text[:1] == b'#' else 0 :].decode(errors='replace')}")


def scramble(password, nonce):
    """The answer to a server's challenge, from which nobody learns the password; the method itself says SHA-1."""
    once = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    twice = hashlib.sha1(once, usedforsecurity=False).digest()
    mask = hashlib.sha1(nonce + twice, usedforsecurity=False).digest()
    return bytes(left ^ right for left, right in zip(once, mask, strict=True))


def number_at(packet, place):
    """(value, next place) of a length-encoded integer; None for NULL."""
    first = packet[place]
    if first == NULL:
        return None, place + 1
    if first < NULL:
        return first, place + 1
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}[first]
    return int.from_bytes(packet[place + 1 : place + 1 + size], "little"), place + 1 + size


class Session:
    """A login at the server, unencrypted without a `context`; raises Refused, or OSError where there is no such server."""

    def __init__(self, given, password, context):
        self._count = 0
        self._socket = socket.create_connection((given["address"], given["port"]), timeout=given["seconds"])
        try:
            self._log_in(given, password, context)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_reason):
        # Unsaid, the owner's log would tell of a connection that broke.
        with contextlib.suppress(OSError):
            self._count = 0
            self._send(COM_QUIT)
        self._socket.close()

    def certificate(self):
        """What the server showed, as PEM."""
        return ssl.DER_cert_to_PEM_cert(self._socket.getpeercert(binary_form=True))

    def query(self, statement):
        """The rows of one statement, as tuples of text; none where it returns no rows."""
        self._count = 0
        self._send(COM_QUERY + statement.encode())
        head = self._receive()
        if head[0] == OK:
            return []
        while self._receive()[0] != EOF:  # what is known of the columns
            pass
        rows = []
        while not ((packet := self._receive())[0] == EOF and len(packet) < 9):
            values, place = [], 0
            while place < len(packet):
                size, place = number_at(packet, place)
                values.append(None if size is None else packet[place : place + size].decode())
                place += size or 0
            rows.append(tuple(values))
        return rows

    def _log_in(self, given, password, context):
        nonce = self._greeting()
        opening = struct.pack("<IIB23x", ASKED | (TLS if context else 0), PACKET_LIMIT, UTF8MB4)
        if context:
            self._send(opening)
            self._socket = context.wrap_socket(self._socket, server_hostname=given["address"])
        user, database, answer = given["username"].encode(), given["database"].encode(), scramble(password, nonce)
        self._send(opening + user + b"\0" + bytes([len(answer)]) + answer + database + b"\0" + METHOD.encode() + b"\0")
        packet = self._receive()
        if packet[0] == EOF:
            method, _, nonce = packet[1:].partition(b"\0")
            if method.decode() != METHOD:
                raise ConnectionError(f"The server asks for {method.decode(errors='replace')}.")
            self._send(scramble(password, nonce[:20]))
            packet = self._receive()
        if packet[0] != OK:
            raise ConnectionError("The server's answer to the login is none.")

    def _greeting(self):
        """The server's challenge, whose two parts lie apart for the sake of ancient clients."""
        packet = self._receive()
        rest = packet.find(b"\0", 1) + 5
        if packet[0] != 10 or len(packet) < rest + 44:
            raise ConnectionError("What answers does not speak MariaDB's protocol.")
        return packet[rest : rest + 8] + packet[rest + 27 : rest + 39]

    def _send(self, payload):
        self._socket.sendall(len(payload).to_bytes(3, "little") + bytes([self._count]) + payload)
        self._count += 1

    def _receive(self):
        head = self._exactly(4)
        self._count = head[3] + 1
        packet = self._exactly(int.from_bytes(head[:3], "little"))
        if packet[:1] == bytes([ERROR]):
            raise Refused(packet)
        if not packet:
            raise ConnectionError("The server sent an empty answer.")
        return packet

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("The server ended the connection.")
            data += piece
        return data


def trusting(certificate=None):
    """TLS as a client has it that was given the server's certificate, or was not and takes any."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        context.load_verify_locations(cadata=certificate)
    return context


def shown_certificate(given):
    """The server's certificate, from a login that takes any."""
    try:
        with Session(given, given["password"], trusting()) as session:
            return session.certificate()
    except Refused as refused:
        raise Problem("login_refused", str(refused)) from refused
    except OSError as failure:
        raise Problem("unreachable", str(failure)) from failure


def write_and_read(given, context):
    """What an owner does with a row, from its table's making to its end."""
    table = TABLE % given["unit"]
    try:
        with Session(given, given["password"], context) as session:
            session.query(MINE % table)
            for statement in MAKE:
                session.query(statement % table)
            rows = session.query(READ % table)
            for statement in REMOVE:
                session.query(statement % table)
    except ssl.SSLCertVerificationError as failure:
        raise Problem("certificate_wrong", str(failure)) from failure
    except (Refused, OSError) as failure:
        raise Problem("write_failed", str(failure)) from failure
    if rows != [("pumasi",)]:
        raise Problem("write_failed", "What was written did not come back.")


def expect_refusal(given, password, context, otherwise):
    """A login that must fail, and because of who tries it how."""
    try:
        with Session(given, password, context):
            raise Problem(otherwise, "The server let in whom it has to refuse.")
    except Refused as refused:
        if refused.number not in REFUSALS:
            raise Problem("refusal_unclear", str(refused)) from refused
    except OSError as failure:
        raise Problem("refusal_unclear", str(failure)) from failure


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "database": {"type": "str", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "seconds": {"type": "int", "default": 10},
        }
    )
    given = module.params
    password = given["password"]
    try:
        checking = trusting(shown_certificate(given))
        write_and_read(given, checking)
        expect_refusal(given, password[::-1] + "x", checking, "wrong_password_accepted")
        expect_refusal(given, password, None, "unencrypted_accepted")
    except Problem as found:
        problem, detail = found.args
        module.exit_json(problem=problem, detail=detail[-500:])
    module.exit_json(problem="", detail="")


if __name__ == "__main__":
    main()
