"""The web process: ``uvicorn catalog.asgi:application``."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "catalog.settings")
os.environ.setdefault("PUMASI_DATABASE_POOL", "20")
application = get_asgi_application()
