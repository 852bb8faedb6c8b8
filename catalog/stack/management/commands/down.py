"""``manage.py down``: stop the stack of this state directory, also what a killed supervisor left behind."""

from typing import Any

from django.conf import settings
from django.core.management import BaseCommand

from catalog.stack.supervisor import stop, supervisor_of


class Command(BaseCommand):
    """Stop every process of the stack; its data stays."""

    help = "Stop the whole stack; data is kept."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        state = settings.STATE_DIR.resolve()
        ran = supervisor_of(state) is not None
        left = stop(state)
        if ran:
            self.stdout.write("The stack is stopped.")
        elif left:
            self.stdout.write(f"The stack was not running; {left} processes it had left behind are ended.")
        else:
            self.stdout.write("The stack was not running.")
