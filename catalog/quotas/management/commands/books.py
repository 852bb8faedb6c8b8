"""``manage.py books``: do the books balance?"""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from catalog.quotas.books import drift, notes


class Command(BaseCommand):
    help = "Compare allocations, inventories, holdings, ports and quotas. Exit status 1 when they disagree."

    def handle(self, *args: Any, **options: Any) -> None:
        found = drift()
        for line in notes():
            self.stdout.write(f"note: {line}")
        for each in found:
            self.stdout.write(f"drift: {each}")
        if found:
            self.stdout.write(f"{len(found)} disagreements.")
            sys.exit(1)
        self.stdout.write("The books balance.")
