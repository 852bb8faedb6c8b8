"""A place that a person names for a service to connect to: one IP address and port, which leads to nobody's inside."""

from __future__ import annotations

import ipaddress
import re
import socket

# Addresses of version 6 in which one of version 4 hides; it could be any of those that are refused.
DISGUISES = [
    ipaddress.ip_network(each) for each in ("::/96", "::ffff:0:0/96", "64:ff9b::/32", "2001::/32", "2002::/16")
]


class NoPlace(Exception):
    """The word is no such place. The text says what it is instead, and fits after "holds"."""


def place(word, is_own):
    """Address and port of a word such as 10.1.2.3:8080 or [fd00::1]:8080; `is_own` says whether the host has an address."""
    parts = re.fullmatch(r"(?:([0-9.]+)|\[([0-9A-Fa-f:.]+)\]):([0-9]{1,5})", word, re.ASCII)
    try:
        address, port = ipaddress.ip_address(parts[1] or parts[2]), int(parts[3])
    except (TypeError, ValueError):
        raise NoPlace("something that is not an IP address and a port") from None
    if not 1 <= port <= 65535:
        raise NoPlace("a port that is not between 1 and 65535")
    if not is_ordinary(address) or is_own(address):
        raise NoPlace("an address that is the host's own, local, multicast or reserved")
    return address, port


def is_ordinary(address):
    """Whether an address is that of one machine that may be somewhere else."""
    if address.version == 6 and (address.is_site_local or any(address in network for network in DISGUISES)):
        return False
    zero = address.version == 4 and address in ipaddress.ip_network("0.0.0.0/8")
    special = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    return not (zero or special or address.is_reserved)


def is_own(address):
    """Whether an address is one of this host's: only to such a one can a socket be bound."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True
