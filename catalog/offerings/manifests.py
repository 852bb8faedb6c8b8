"""Reading and checking manifests; pure but for the files it reads."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from django.utils.translation import gettext as _
from jsonschema.exceptions import SchemaError

from catalog.common.data import in_order, in_words, ordinary
from catalog.offerings.errors import ManifestInvalid, NarrowingInvalid
from catalog.offerings.folders import FolderInvalid, digest_of, files_of, packed
from catalog.offerings.operations import ENDS_OF, HOUSE, Operation, operations_of
from catalog.offerings.schemas import Schema, narrowed, validator
from catalog.offerings.stacks import wrong_isolation, wrong_roles
from catalog.offerings.uses import with_used, wrong_uses

SCHEMA_FILE = "manifest.schema.json"


@dataclass(frozen=True)
class Manifest:
    """One valid manifest.

    :param digest: SHA-256 of the files of its folder.
    :param folder: those files, packed.
    """

    slug: str
    version: str
    document: dict[str, Any]
    digest: str
    folder: bytes


def read_all(root: Path) -> list[Manifest]:
    """Every ``<slug>/service.yml`` below ``root``, by slug.

    :raises ManifestInvalid: with everything that is wrong in any of them, as ``file: place`` → what.
    """
    schema = _format(root)
    wrong: dict[str, str] = {}
    manifests = []
    for path in sorted(root.glob("*/service.yml")):
        document, problems = _read(path, schema)
        wrong |= {f"{path.parent.name}/{path.name}: {place}": what for place, what in problems.items()}
        if document is not None and not problems:
            try:
                whole, files = with_used(path.parent, document, files_of(path.parent))
            except FolderInvalid as error:
                wrong[f"{path.parent.name}/{error.place}"] = str(error)
            else:
                manifests.append(Manifest(whole["slug"], whole["version"], whole, digest_of(files), packed(files)))
    if not manifests and not wrong:
        raise ManifestInvalid(_("There is no manifest below %s.") % root)
    if wrong:
        raise ManifestInvalid(fields=wrong)
    return manifests


def _format(root: Path) -> Schema:
    path = root / SCHEMA_FILE
    try:
        schema: Schema = json.loads(path.read_text(encoding="utf-8"))
        validator(schema).check_schema(schema)
    except (OSError, ValueError, SchemaError) as error:
        raise ManifestInvalid(fields={SCHEMA_FILE: str(error).splitlines()[0]}) from error
    return schema


def _read(path: Path, schema: Schema) -> tuple[dict[str, Any] | None, dict[str, str]]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        json.dumps(document, allow_nan=False)
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        return None, {"file": _("Cannot be read: %s") % str(error).splitlines()[0]}
    problems = {
        ".".join(str(part) for part in error.absolute_path) or "manifest": error.message[:300]
        for error in validator(schema).iter_errors(document)
    }
    if not problems:
        problems = _beyond_schema(path.parent, document)
    return document, problems


def _beyond_schema(folder: Path, document: dict[str, Any]) -> dict[str, str]:
    """What a schema cannot say: names that must exist, and texts that must agree."""
    wrong: dict[str, str] = {}
    if document["slug"] != folder.name:
        wrong["slug"] = _("Must be the name of its folder, %s.") % folder.name
    for step, name in document["playbooks"].items():
        if not (folder / name).is_file():
            wrong[f"playbooks.{step}"] = _("There is no file %s beside the manifest.") % name
    parameters = document["parameters"]
    wrong |= _wrong_operations(folder, document)
    wrong |= wrong_uses(folder, document)
    wrong |= _wrong_credentials(document)
    first, last = document["port"]["range"]
    if first > last:
        wrong["port.range"] = _("The first port lies after the last.")
    wrong |= _wrong_parameters(parameters)
    seen: set[str] = set()
    for number, plan in enumerate(document["plans"]):
        if plan["slug"] in seen:
            wrong[f"plans.{number}.slug"] = _("Another plan has this slug.")
        seen.add(plan["slug"])
        contradictions = wrong_isolation(plan) | wrong_roles(plan)
        wrong |= {f"plans.{number}.{place}": what for place, what in contradictions.items()}
        beyond = set(plan.get("data_classes", ())) - set(document.get("data_classes") or ordinary())
        if beyond:
            wrong[f"plans.{number}.data_classes"] = _("The service allows no %s.") % in_words(in_order(beyond))
        if not any(place.startswith("parameters") for place in wrong):
            try:
                narrowed(parameters, plan["parameters"])
            except NarrowingInvalid as error:
                wrong |= {f"plans.{number}.parameters.{name}": str(what) for name, what in error.fields.items()}
    return wrong


def _wrong_credentials(document: dict[str, Any]) -> dict[str, str]:
    wrong: dict[str, str] = {}
    known = document["parameters"]["properties"]
    for name, source in document["credentials"].items():
        taken = source.get("from_parameter")
        if taken is not None and taken not in known:
            wrong[f"credentials.{name}"] = _("There is no parameter %s.") % taken
        elif taken is not None and not known[taken].get("x-immutable"):
            said = _("The parameter %s must be immutable: credentials do not change with it.")
            wrong[f"credentials.{name}"] = said % taken
    return wrong


def _wrong_operations(folder: Path, document: dict[str, Any]) -> dict[str, str]:
    """Names once each, playbooks that exist; and what a lease in grace rests on: stop and start, which ask for nothing."""
    wrong: dict[str, str] = {}
    found: dict[str, Operation] = {}
    for number, operation in enumerate(operations_of(document)):
        place = f"operations.{number}"
        if operation.name in found:
            wrong[f"{place}.name"] = _("Another operation has this name.")
        found[operation.name] = operation
        if operation.playbook and not (folder / operation.playbook).is_file():
            wrong[f"{place}.playbook"] = _("There is no file %s beside the manifest.") % operation.playbook
        elif not operation.playbook and operation.name not in HOUSE:
            wrong[f"{place}.playbook"] = _(
                "Name its playbook: only stop, start, restart and diagnostics have one of the house."
            )
        if unknown := operation.plans - {plan["slug"] for plan in document["plans"]}:
            wrong[f"{place}.plans"] = _("There is no plan %s.") % ", ".join(sorted(unknown))
        wrong |= {f"{place}.{where}": what for where, what in _wrong_parameters(operation.parameters).items()}
        if operation.name in ENDS_OF and (
            operation.ends != ENDS_OF[operation.name] or operation.parameters.get("required")
        ):
            wrong[place] = _("%s must end in the state it is named for, and ask for nothing.") % operation.name
    if len(found.keys() & ENDS_OF.keys()) == 1:
        wrong["operations"] = _("What can be stopped must be started again: stop and start come together.")
    return wrong


def _wrong_parameters(parameters: Schema) -> dict[str, str]:
    try:
        validator(parameters).check_schema(parameters)
    except SchemaError as error:
        place = ".".join(str(part) for part in error.absolute_path)
        return {f"parameters.{place}": error.message[:300]}
    return {
        f"parameters.{name}.default": _("Is not allowed by its own schema.")
        for name, each in parameters["properties"].items()
        if "default" in each and not validator(each).is_valid(each["default"])
    }
