"""The written list of what one slice may leave: the part all slices have in common, and what its service adds."""

from __future__ import annotations

OPTIONS = {
    "common_residues": {"type": "list", "elements": "dict", "required": True},
    "residues": {"type": "dict", "required": True},
}
"""What a module is given to make the list from: `files/residues.yml` of the role, and `residues` of the service's manifest."""

_ADDED = ("paths", "text_under")


def read(module, unit):
    """The list for one slice; fails the module with `residues_invalid` where the service names a kind that is not on it."""
    common, own = module.params["common_residues"], module.params["residues"]
    known = {kind["kind"] for kind in common}
    unknown = sorted({kind for what in _ADDED for kind in own.get(what, {})} - known)
    if unknown:
        module.fail_json(msg=f"The residue list asks for kinds nobody can check: {unknown}.", code="residues_invalid")
    return Residues(common, own, unit)


class Residues:
    """The list for one slice, with its name filled in.

    :ivar services: the systemd units of the slice: the one that clients reach, then those that run with it.
    :ivar kinds: as in `files/residues.yml`; what names a unit there is asked of every one of them.
    :ivar data: the paths without which there is nothing to start.
    """

    def __init__(self, common, own, unit):
        self._unit = unit
        self.services = [name.replace("{unit}", unit) for name in (own["service"], *own.get("parts", []))]
        self.kinds = [
            {
                **kind,
                **{what: self._filled(kind.get(what, []) + own.get(what, {}).get(kind["kind"], [])) for what in _ADDED},
            }
            for kind in common
        ]
        self.data = self._filled(own.get("paths", {}).get("data", []))

    def paths(self):
        """Every pattern of what give-back removes."""
        return [pattern for kind in self.kinds for pattern in kind["paths"]]

    def _filled(self, patterns):
        filled = []
        for pattern in patterns:
            services = self.services if "{service}" in pattern else [""]
            filled += [pattern.replace("{service}", name).replace("{unit}", self._unit) for name in services]
        return filled
