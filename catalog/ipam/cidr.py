"""Pure arithmetic on networks."""

import ipaddress

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
