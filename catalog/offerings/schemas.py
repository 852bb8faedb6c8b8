"""Pure work on parameter schemas: narrowing them, checking values against them, refusing what no value may contain.

No ``$ref`` is ever fetched: schemas are resolved in an empty registry (DESIGN rule 12).
"""

import math
import unicodedata
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from django.utils.translation import gettext as _
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry

from catalog.offerings.errors import NarrowingInvalid, ParameterForbidden, ParametersInvalid

Schema = dict[str, Any]

DEPTH = 20
_RESERVED_KEYS = ("__ansible", "ansible_", "__prefect")
_TIGHTER = {"minimum": max, "maximum": min, "minLength": max, "maxLength": min}


def validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    """A validator that reads nothing but ``schema``."""
    return Draft202012Validator(
        schema, registry=Registry(), format_checker=Draft202012Validator.FORMAT_CHECKER
    )  # fmt: skip


def narrowed(schema: Mapping[str, Any], narrowing: Mapping[str, Any]) -> Schema:
    """``schema`` with the keywords of ``narrowing`` laid over its properties, so that it never allows more.

    :param narrowing: parameter → ``minimum``, ``maximum``, ``minLength``, ``maxLength``, ``enum`` or ``default``.
    :raises NarrowingInvalid: an unknown parameter or keyword, an empty choice, or a default that is no longer allowed.
    """
    result: Schema = deepcopy(dict(schema))
    wrong: dict[str, str] = {}
    for name, keywords in narrowing.items():
        present = result["properties"].get(name)
        if present is None:
            wrong[name] = _("There is no such parameter.")
        elif not isinstance(keywords, Mapping):
            wrong[name] = _('Write the keywords that narrow it, such as {"maximum": 50}.')
        else:
            problem = _narrow(present, keywords)
            if problem:
                wrong[name] = problem
    if wrong:
        raise NarrowingInvalid(fields=wrong)
    return result


def _narrow(present: Schema, keywords: Mapping[str, Any]) -> str:
    for keyword, value in keywords.items():
        if keyword in _TIGHTER:
            if not isinstance(value, int) or isinstance(value, bool) or present.get("type") != _type_of(keyword):
                return _("%s does not fit this parameter.") % keyword
            present[keyword] = _TIGHTER[keyword](value, present.get(keyword, value))
        elif keyword == "enum":
            if not isinstance(value, list):
                return _("enum must be a list.")
            present["enum"] = [each for each in value if validator(present).is_valid(each)]
            if not present["enum"]:
                return _("None of these choices is allowed by the manifest.")
        elif keyword == "default":
            present["default"] = value
        else:
            return _("%s narrows nothing here.") % keyword
    if "default" in present and not validator(present).is_valid(present["default"]):
        return _("The default %r is not allowed any more; give another.") % present["default"]
    return ""


def _type_of(keyword: str) -> str:
    return "integer" if keyword in {"minimum", "maximum"} else "string"


def with_defaults(schema: Mapping[str, Any], values: Any) -> dict[str, Any]:
    """``values`` checked against ``schema``, and completed by its defaults.

    :raises ParameterForbidden: see :func:`refuse_forbidden`.
    :raises ParametersInvalid: one field for each wrong, missing or unknown parameter.
    """
    if not isinstance(values, dict):
        raise ParametersInvalid(_("Parameters are an object of names and values."))
    refuse_forbidden(values)
    properties: Mapping[str, Schema] = schema["properties"]
    complete: dict[str, Any] = {
        name: deepcopy(values.get(name, each.get("default")))
        for name, each in properties.items()
        if name in values or "default" in each
    }
    wrong = {name: _("There is no such parameter.") for name in values if name not in properties}
    for error in validator(schema).iter_errors(complete):
        wrong.update(_said(error))
    if wrong:
        raise ParametersInvalid(fields=dict(sorted(wrong.items())))
    for name, value in complete.items():
        # JSON Schema calls 5.0 an integer; a configuration file does not.
        if properties[name].get("type") == "integer":
            complete[name] = int(value)
    return complete


def only_given(schema: Mapping[str, Any], values: Any) -> dict[str, Any]:
    """``values`` checked against ``schema``; nothing is filled in.

    :raises: as :func:`with_defaults`.
    """
    without = {
        name: {keyword: said for keyword, said in each.items() if keyword != "default"}
        for name, each in schema["properties"].items()
    }
    return with_defaults({**schema, "properties": without}, values)


def _said(error: ValidationError) -> dict[str, str]:
    expected: Any = error.validator_value
    if error.validator == "required" and not error.absolute_path:
        present: Any = error.instance
        return {name: _("This parameter is required.") for name in expected if name not in present}
    name = ".".join(str(part) for part in error.absolute_path)
    said = {
        "type": _("Must be of type %s."),
        "minimum": _("Must be at least %s."),
        "maximum": _("Must be at most %s."),
        "minLength": _("Must have at least %s characters."),
        "maxLength": _("Must have at most %s characters."),
        "pattern": _("Must match %s."),
        "enum": _("Must be one of: %s."),
    }.get(str(error.validator))
    if said is None:
        return {name: _("Is not allowed here.")}
    return {name: said % (", ".join(map(str, expected)) if isinstance(expected, list) else expected)}


def refuse_forbidden(values: Any) -> None:
    """Refuse what no parameter may contain, whatever its schema says.

    :raises ParameterForbidden: keys Ansible or Prefect would act on, control characters and lone surrogates, numbers that are
        none, nesting deeper than 20.
    """
    wrong = dict(_forbidden(values, "", 0))
    if wrong:
        raise ParameterForbidden(fields=wrong)


def _forbidden(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > DEPTH:
        yield path, _("Nested deeper than %d levels.") % DEPTH
    elif isinstance(value, dict):
        for key, inner in value.items():
            shown = _plain(str(key))
            place = f"{path}.{shown}" if path else shown
            if str(key).startswith(_RESERVED_KEYS):
                yield place, _("Names that start with %s are not accepted.") % ", ".join(_RESERVED_KEYS)
            if _has_control(str(key)):
                yield place, _("Contains a control character.")
            yield from _forbidden(inner, place, depth + 1)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _forbidden(inner, f"{path}.{number}" if path else str(number), depth + 1)
    elif isinstance(value, str) and _has_control(value):
        yield path, _("Contains a control character.")
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, _("Is not a number.")


def _has_control(text: str) -> bool:
    return any(unicodedata.category(char) in {"Cc", "Cs"} for char in text)


def _plain(text: str) -> str:
    return "".join("?" if _has_control(char) else char for char in text)[:80]
