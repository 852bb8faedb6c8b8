"""Refusals about affiliates, projects, roles, and handing over."""

from django.utils.translation import gettext_lazy as _

from catalog.common.errors import DomainError, InvalidInput


class PersonUnknown(InvalidInput):
    """Nobody of that name may act here: they do not exist, or their account is not active. Which of the two is not told."""

    code = "person-unknown"
    title = _("There is no active person of that name. Check the user name, or have an account made first.")


class OwnMembership(DomainError):
    """Nobody changes what they may do themselves."""

    code = "own-membership"
    status = 403
    title = _("Nobody changes their own roles. Ask another administrator.")


class MembershipExists(DomainError):
    """The role is in force already."""

    code = "membership-exists"
    title = _("This person already has this role there. End that membership first, if it should end at another time.")


class MembershipEnded(DomainError):
    """There is nothing to end."""

    code = "membership-ended"
    title = _("This membership has ended already.")


class MembershipEndInvalid(InvalidInput):
    """A role that ends before it begins."""

    code = "membership-end-invalid"
    title = _("The end of a role must lie in the future. Choose a later moment, or leave it out.")


class RoleScopeMismatch(InvalidInput):
    """A role of affiliates for the group, or the other way round."""

    code = "role-scope-mismatch"
    title = _(
        "A role of affiliates needs an affiliate, and a project of it at most; a role of the group must have neither."
    )


class TenantExists(DomainError):
    """The name is taken."""

    code = "tenant-exists"
    title = _("There is an affiliate of that name already. Choose another name.")


class ProjectExists(DomainError):
    """The name is taken."""

    code = "project-exists"
    title = _("This affiliate already has a project of that name. Choose another name.")


class ProjectEndInvalid(InvalidInput):
    """An end in the past would end everything of the project this minute; it is refused as a slip."""

    code = "project-end-invalid"
    title = _("This day is over. Choose today, which ends its services tonight, or later.")


class HandoverToSelf(InvalidInput):
    """The successor is the leaver."""

    code = "handover-to-self"
    title = _("A person cannot be their own successor. Choose somebody else.")


class PersonBeyondAffiliate(DomainError):
    """The leaver has roles or services that the actor does not look after."""

    code = "person-beyond-affiliate"
    status = 403
    title = _("This person also has roles or services beyond what you look after. Ask a group administrator to do it.")


class SuccessorLacksRoles(DomainError):
    """The successor could not act for what they would take over."""

    code = "successor-lacks-roles"
    title = _(
        "The successor lacks roles for what they would take over. Choose to give them these roles, or somebody else."
    )


class SuccessorApprovesOwn(DomainError):
    """Orders would wait for an approval that only the person they belong to could give."""

    code = "successor-approves-own"
    title = _(
        "Orders that wait for approval would be the successor's own, and nobody else could decide on them. Have them decided "
        "first, or choose somebody else."
    )
