"""Tests of the flows: on a real Prefect server, and on real hosts."""

ANSWER = "answer: "
"""What a line begins with that answers for a scene."""
