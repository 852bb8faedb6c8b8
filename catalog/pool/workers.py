"""Whether somebody works in each zone. What Prefect says of workers is kept here, so that every page can tell it."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.utils.translation import gettext as _

from catalog.common.words import moment
from catalog.pool.models import WorkerState, Zone

log = structlog.get_logger(__name__)


def note_workers(heard: Mapping[str, datetime], *, now: datetime) -> dict[str, str]:
    """Keep when a worker of each zone was last heard of, and whether it is silent; returns zones that changed, and to what.

    A zone is silent once none of its workers was heard of for ``WORKER_SILENT_SECONDS``, or none ever was.

    :param heard: zone → the newest sign of life; zones that never had a worker are left out.
    """
    changed = {}
    for zone in Zone.objects.all():
        seen = heard.get(zone.slug, zone.worker_seen_at)
        silent = seen is None or now - seen > timedelta(seconds=settings.WORKER_SILENT_SECONDS)
        state = WorkerState.SILENT if silent else WorkerState.LIVE
        if (seen, state) == (zone.worker_seen_at, zone.worker_state):
            continue
        # Whoever else looks at this moment says the same of the same row; the first one tells of the change.
        mine = Zone.objects.filter(pk=zone.pk, worker_state=zone.worker_state)
        if mine.update(worker_seen_at=seen, worker_state=state) and state != zone.worker_state:
            changed[zone.slug] = state.value
            log.warning("zone_worker", zone=zone.slug, state=state.value, seen_at=seen.isoformat() if seen else None)
    return changed


def silence(zone: Zone) -> str | None:
    """What people are told of a zone in which nobody works; None where somebody does, or nobody has looked yet."""
    if zone.worker_state != WorkerState.SILENT:
        return None
    if zone.worker_seen_at is None:
        return _("No worker has served this zone yet.")
    return _("The zone's worker has been silent since %s.") % moment(zone.worker_seen_at)
