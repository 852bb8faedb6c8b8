"""What runs at the API is there to be looked at in the admin."""

from tests.api.conftest import plan, running

__all__ = ["plan", "running"]
