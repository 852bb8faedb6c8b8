"""The service catalog. Celery's application is imported here so that tasks of every process share it."""

from catalog.celery import app as celery_app

__all__ = ["celery_app"]
