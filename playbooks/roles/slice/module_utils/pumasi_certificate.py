"""A key and a certificate of one slice, for its address and its name. Nobody else signs it: its owner is given it to trust."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

from ansible.module_utils.pumasi_host import run

DAYS = 3650
SECONDS_TO_RENEW = 30 * 24 * 3600

# A certificate of a server and nothing else: whoever trusts it does not trust what its key might sign.
_REQUEST = """[req]
distinguished_name = name
x509_extensions = server
[name]
[server]
subjectAltName = {alternatives}
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
"""
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", re.DOTALL)


def is_good(module, path, address, name):
    """Whether a file holds a certificate for the address, and for the name if there is one, that does not run out soon."""
    if not Path(path).exists():
        return False
    checks = [["-checkend", str(SECONDS_TO_RENEW)], ["-checkip", str(ipaddress.ip_address(address))]]
    checks += [["-checkhost", name]] if name else []
    said = [run(module, ["openssl", "x509", "-in", path, "-noout", *check], check=False) for check in checks]
    return all(rc == 0 and "does NOT match" not in out for rc, out, _err in said)


def make(module, unit, address, name, as_name=False):
    """A new key and its certificate, as two texts in PEM.

    :param as_name: the address stands there as a name, too, for clients that look for it nowhere else.
    """
    plain = str(ipaddress.ip_address(address))
    alternatives = [f"IP:{plain}", *([f"DNS:{plain}"] if as_name else []), *([f"DNS:{name}"] if name else [])]
    words = ["openssl", "req", "-x509", "-days", str(DAYS), "-subj", f"/CN={unit}", "-config", "/dev/stdin"]
    words += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "/dev/stdout"]
    request = _REQUEST.format(alternatives=",".join(alternatives))
    made = run(module, words, data=request, what="The certificate could not be made")[1]
    certificate = certificate_in(made)
    return made.replace(certificate, ""), certificate


def certificate_in(text):
    """The certificate among what a file holds, as PEM."""
    return _CERTIFICATE.search(text)[0]
