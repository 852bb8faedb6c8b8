"""Why the catalog refuses. Codes keep their meaning for ever (see ``catalog.common.errors``)."""

from django.utils.translation import gettext_lazy as _

from catalog.common.errors import DomainError, InvalidInput


class ManifestInvalid(DomainError):
    """``fields``: file and place in it → what is wrong there."""

    code = "manifest-invalid"
    status = 422
    title = _("A manifest is not valid, so nothing was loaded. Correct what is named and load again.")


class ManifestVersionReused(DomainError):
    code = "manifest-version-reused"
    title = _("A manifest was changed without a new version, so nothing was loaded. Raise its version.")


class NarrowingInvalid(DomainError):
    code = "narrowing-invalid"
    status = 422
    title = _("A plan may only narrow what its manifest allows. Correct the named parameters.")


class PlanUnavailable(DomainError):
    code = "plan-unavailable"
    status = 404
    title = _("This plan is not on sale. Choose one from the catalog.")


class ParametersInvalid(DomainError):
    code = "parameters-invalid"
    status = 422
    title = _("Some parameters are not what this plan allows. Correct the named ones.")


class ParameterForbidden(DomainError):
    code = "parameter-forbidden"
    status = 422
    title = _("Some parameters contain what is never accepted. Remove what is named.")


class DataClassNotAllowed(InvalidInput):
    """``context["allowed"]``: the kinds of data the plan is made for."""

    code = "data-class-not-allowed"
    title = _("This plan is not made for such data. Choose another plan, or say that it holds less protected data.")
