"""Refusals about approvals, delegations and freezes."""

from django.utils.translation import gettext_lazy as _

from catalog.common.errors import DomainError, InvalidInput


class OwnApproval(DomainError):
    """Nobody decides on their own order (placed by them, or for a service they answer for), not for another either."""

    code = "own-approval"
    status = 403
    title = _(
        "This order is your own: you placed it, or you answer for its service. Somebody else has to decide on it."
    )


class ApprovalConflict(DomainError):
    """The decider and the one who asks decide for each other."""

    code = "approval-conflict"
    status = 403
    title = _("You and the person who placed this order decide for one another; somebody else has to decide on it.")


class AlreadyDecided(DomainError):
    """The same person satisfies no two people and no two levels."""

    code = "already-decided"
    title = _("You have decided on this order already, for yourself or for somebody else. Another person has to go on.")


class NotYourTurn(DomainError):
    """An earlier level is not through yet."""

    code = "not-your-turn"
    title = _("Another level decides before yours. You are told when it is your turn.")


class ApprovalStale(DomainError):
    """What was shown to the approver is not what would be approved."""

    code = "approval-stale"
    title = _("The order has changed since it was shown to you. Reload it and decide again.")


class ApprovalExpired(DomainError):
    """Nobody decided in time."""

    code = "approval-expired"
    title = _("The time to decide is over, and the order expires. Ask for it to be placed again.")


class NotWaitingForApproval(DomainError):
    """There is nothing to decide."""

    code = "not-waiting-for-approval"
    title = _("This order is not waiting for an approval.")


class DelegationToSelf(InvalidInput):
    """One cannot stand in for oneself."""

    code = "delegation-to-self"
    title = _("You cannot decide for yourself while you are away. Choose another person.")


class DelegateUnsuitable(InvalidInput):
    """There is no such person, or they may not see what they would decide on."""

    code = "delegate-unsuitable"
    title = _("There is no such person who may see the orders of this affiliate. Choose somebody who may.")


class NothingToDelegate(DomainError):
    """Who gives decisions away has none to make."""

    code = "nothing-to-delegate"
    status = 403
    title = _("You approve nothing there, so there is nothing that somebody could decide for you.")


class DelegationPeriodInvalid(InvalidInput):
    """The end lies before the beginning or in the past, or it is too long."""

    code = "delegation-period-invalid"
    title = _("Choose an end after the beginning and in the future, at most 92 days after the beginning.")


class DelegationOverlaps(DomainError):
    """Two people cannot stand in for one at a time."""

    code = "delegation-overlaps"
    title = _("Somebody decides for you in that time already. End that first, or choose another time.")


class DelegationChain(DomainError):
    """Who is away stands in for nobody, and what was given to somebody is not passed on."""

    code = "delegation-chain"
    title = _(
        "Decisions are not passed on: one of you two is away or stands in for somebody in that time. Choose another person."
    )


class DelegationOver(DomainError):
    """It has ended."""

    code = "delegation-over"
    title = _("This delegation is over already.")


class StepsImpossible(InvalidInput):
    """A rule nobody could satisfy."""

    code = "approval-steps-impossible"
    title = _("A rule has at most 4 levels of 1 to 5 people each. Correct the levels.")


class TooFewDeciders(InvalidInput):
    """A rule that demands more people than there are."""

    code = "too-few-deciders"
    title = _(
        "Fewer people hold these roles than the levels demand, and nobody counts twice. Demand fewer, or grant the roles first."
    )


class RuleInvalid(InvalidInput):
    """A rule that says nothing that can hold."""

    code = "approval-rule-invalid"
    title = _("This rule can never hold. Correct the named fields.")


class FreezeInvalid(InvalidInput):
    """A freeze that never is, or never ends."""

    code = "freeze-invalid"
    title = _("This freeze has no time or nothing that waits. Correct the named fields.")


class NotFrozen(DomainError):
    """There is nothing to override."""

    code = "not-frozen"
    title = _("This order does not wait for the end of a change freeze.")


class OverrideWithoutReason(InvalidInput):
    """An override is an exception; it says why."""

    code = "override-without-reason"
    title = _("Say why the order cannot wait for the end of the freeze; the reason is recorded.")
