"""Imported once by the fork server. Every run is a fork of it, so whatever a run needs must be imported here.

Nothing here may open a connection or start a thread: neither survives a fork.
"""

import ansible_runner
import prefect._internal.metrics
import prefect.client.orchestration
import prefect.engine
import prefect.events.clients
import prefect.events.worker
import prefect.flow_engine
import prefect.logging.handlers
import prefect.task_engine

import flows.decommission
import flows.enrol
import flows.forked
import flows.health_check
import flows.host_check
import flows.operate
import flows.provision
import flows.reclaim
import flows.sweep
import flows.wipe

LOADED = (ansible_runner, prefect, flows, flows.forked.own_client())
"""Named so that the imports have a use that readers and linters see."""
