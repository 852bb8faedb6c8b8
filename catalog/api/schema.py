"""How the API describes itself: every operation names the problems it can answer with."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers

from catalog.common.errors import DomainError


class Problem(serializers.Serializer[Any]):
    """RFC 9457 problem details."""

    type = serializers.CharField(help_text="urn:pumasi:<code>")
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="Stable for ever; see the list in the description of this API.")
    detail = serializers.CharField()
    fields = serializers.DictField(  # type: ignore[assignment]  # the member is called so on the wire
        child=serializers.CharField(), help_text="What is wrong, by dotted name of the member."
    )
    request_id = serializers.CharField(allow_null=True)
    explanation = serializers.DictField(
        required=False, help_text="Reasons as data, for codes that have some, such as `no-capacity`."
    )


_ALWAYS = {400: "Malformed request", 406: "Not acceptable", 500: "A fault of ours"}


class ProblemAutoSchema(AutoSchema):
    """Adds the 4xx and 5xx answers an operation can give, as its method, path and body imply, and its ``refusals``."""

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        problem = self.resolve_serializer(Problem, "response")
        refusals: tuple[type[DomainError], ...] = getattr(self.view, "refusals", {}).get(self.method, ())
        for status, description in sorted(self._problems(operation, refusals).items()):
            operation["responses"].setdefault(
                str(status),
                {"description": description, "content": {"application/problem+json": {"schema": problem.ref}}},
            )
        return operation

    def _problems(self, operation: dict[str, Any], refusals: tuple[type[DomainError], ...]) -> dict[int, str]:
        found = dict(_ALWAYS)
        if operation.get("security"):
            found |= {401: "Not signed in", 403: "Not allowed"}
        if "{" in self.path:
            found[404] = "No such object, or not yours to see"
        if "requestBody" in operation:
            found |= {413: "Too large", 415: "Not JSON"}
        if "requestBody" in operation or operation.get("parameters"):
            found[422] = "Invalid input"
        if getattr(self.view, "throttle_scope", None):
            found[429] = "Too many requests"
        for status in {error.status for error in refusals}:
            codes = ", ".join(sorted(f"`{error.code}`" for error in refusals if error.status == status))
            found[status] = f"{found[status]}; {codes}" if status in found else codes
        return found


def close_request_bodies(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Say in the schema what the API does: a body with an unknown member is refused."""
    for name, component in result.get("components", {}).get("schemas", {}).items():
        if name.endswith("Request") and component.get("type") == "object":
            component["additionalProperties"] = False
    return result


def list_codes(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Append every stable code with its status and sentence to the description."""
    errors = {error.code: error for error in _all_errors(DomainError)}
    rows = [f"| `{code}` | {error.status} | {error.title} |" for code, error in sorted(errors.items())]
    result["info"]["description"] += "\n\n" + "\n".join(
        [
            "<details><summary>" + _("Codes of refusals") + "</summary>",
            "",
            "| code | status | |",
            "|---|---|---|",
            *rows,
            "",
            "</details>",
        ]
    )
    return result


def _all_errors(error: type[DomainError]) -> list[type[DomainError]]:
    return [error, *(leaf for child in error.__subclasses__() for leaf in _all_errors(child))]
