"""Within which times people decide, are reminded, and stand in for each other."""

from datetime import timedelta

DECIDE_WITHIN = timedelta(hours=72)
"""From the request to its expiry; the one place that says so."""

REMIND_AFTER = (timedelta(hours=24), timedelta(hours=48))
ESCALATE_AFTER = REMIND_AFTER[-1]
LONGEST_ABSENCE = timedelta(days=92)
