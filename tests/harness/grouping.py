"""Which tests share a worker: those with the same hosts must, and the two sets of hosts run side by side."""

from pathlib import Path

import pytest

HOSTS_OF = {"rack": "hosts", "playbooks": "hosts", "flows": "stack", "e2e": "stack", "stack": "stack"}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a test that needs hosts the group of its folder, before xdist reads the groups of all."""
    folder = item.path.relative_to(Path(item.config.rootpath) / "tests").parts[0]
    needs_hosts = item.get_closest_marker("rack") or item.get_closest_marker("stack")
    if needs_hosts and not item.get_closest_marker("xdist_group"):
        item.add_marker(pytest.mark.xdist_group(HOSTS_OF.get(folder, "hosts")))
