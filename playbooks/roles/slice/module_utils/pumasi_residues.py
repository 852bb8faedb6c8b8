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

    :ivar service: the systemd unit of the slice.
    :ivar kinds: as in `files/residues.yml`.
    :ivar data: the paths without which there is nothing to start.
    """

    def __init__(self, common, own, unit):
        self._unit = unit
        self.service = own["service"].replace("{unit}", unit)
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
        return [pattern.replace("{service}", self.service).replace("{unit}", self._unit) for pattern in patterns]
