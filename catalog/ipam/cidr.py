"""Pure arithmetic on networks."""

import ipaddress
from collections.abc import Iterable
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network(text: str) -> Network | None:
    """The network written in ``text``, or None where it is not one or its host bits are not zero."""
    try:
        return ipaddress.ip_network(text, strict=True)
    except ValueError:
        return None


def contains(cidr: str, address: str) -> bool:
    """Whether ``address`` lies in ``cidr``. Raises ValueError where either is malformed."""
    return ipaddress.ip_address(address) in ipaddress.ip_network(cidr)


def overlap(one: Network, other: Network) -> bool:
    """Whether two networks share an address; those of different versions never do."""
    return one.version == other.version and one.overlaps(other)


def inside(wanted: Network, known: Iterable[Network]) -> bool:
    """Whether every address of ``wanted`` lies in ``known``, be it in several networks side by side."""
    return any(wanted.subnet_of(each) for each in _collapsed(known, wanted.version))


def merged(networks: Iterable[Network]) -> list[str]:
    """The same addresses in as few networks as possible, IPv4 first, in the order of their addresses."""
    every = list(networks)
    return [str(each) for version in (4, 6) for each in _collapsed(every, version)]


def _collapsed(networks: Iterable[Network], version: int) -> list[Any]:
    # Of one version, and so of one type, which the type checker cannot see.
    of_one: list[Any] = [each for each in networks if each.version == version]
    return list(ipaddress.collapse_addresses(of_one))
