"""Refusals that belong to the wire, not to the domain."""

from django.utils.translation import gettext_lazy as _

from catalog.common.errors import DomainError


class NotSignedIn(DomainError):
    """No valid credentials came with the request."""

    code = "not-signed-in"
    status = 401
    title = _("Sign in first: send a token from POST /api/v1/tokens as “Authorization: Token …”.")


class MethodNotAllowed(DomainError):
    """The address exists, the method does not."""

    code = "method-not-allowed"
    status = 405
    title = _("This address does not know that method. The Allow header says which it knows.")


class NotAcceptable(DomainError):
    """The Accept header leaves nothing the API can write."""

    code = "not-acceptable"
    status = 406
    title = _("The API answers in JSON only. Accept application/json.")


class Malformed(DomainError):
    """The body is not JSON as RFC 8259 means it."""

    code = "malformed-request"
    status = 400
    title = _("The request could not be read. Send one JSON object in UTF-8.")


class TooLarge(DomainError):
    """The body is larger than the API reads."""

    code = "request-too-large"
    status = 413
    title = _("The request is too large. Send at most 256 KiB.")


class UnsupportedMediaType(DomainError):
    """The body is not declared as JSON."""

    code = "unsupported-media-type"
    status = 415
    title = _("Send the body as Content-Type: application/json.")


class TooManyRequests(DomainError):
    """The client asks more often than it may."""

    code = "too-many-requests"
    status = 429
    title = _("Too many requests. Wait as long as Retry-After says, then try again.")


class ServerFault(DomainError):
    """A bug or an outage of ours."""

    code = "server-error"
    status = 500
    title = _("Something went wrong on our side; it has been recorded. Try again, and name the request id if it stays.")


class BadCredentials(DomainError):
    """Name and password do not belong together; which of the two is wrong is not told."""

    code = "bad-credentials"
    status = 401
    title = _("User name or password is wrong.")
