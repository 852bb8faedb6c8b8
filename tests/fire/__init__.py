"""The scene of the minute under fire: how much there is, and what clients may be told."""

TENANTS, ZONES, HOSTS = 4, 2, 3
PORTS = (20000, 20007)
"""Fewer ports than slices fit on a host, so that ports run out as well."""
KEPT = 3
"""How many orders a client holds at most: in sum more than the pool has room for."""
PLANS = {"small": 6, "large": 3, "pair": 3, "common": 3, "dedicated": 2}
"""What is ordered, and how often of seventeen times: two sizes of slices, a stack of two hosts, a slice beside those of other
affiliates, a whole host."""
REFUSALS = frozenset({"no-capacity", "quota-exceeded", "nothing-to-borrow", "no-port"})
