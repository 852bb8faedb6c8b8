"""Who may log in to the hub: its admin with the delivered password, and the users whom the admin gave one.

A user's password is kept as a hash in ``passwords.json``, which only the hub reads. The admin's is the delivered one as long as
the service stands, and cannot be changed here.
"""

import asyncio
import json
import os
from pathlib import Path

from jupyterhub import orm
from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.auth import Authenticator
from jupyterhub.handlers.base import BaseHandler
from pumasi_jupyterhub_passwords import hashed, matches
from tornado import web

UNIT = os.environ["PUMASI_UNIT"]
SETTINGS = json.loads(Path("/etc/pumasi/slices", UNIT, "settings.json").read_text(encoding="utf-8"))
KEPT = Path("/var/lib/pumasi", UNIT, "hub", "passwords.json")
ADMIN = SETTINGS["admin"]["name"]
SHORTEST, LONGEST = 12, 200
# Compared with where there is no such user, so that an answer takes as long.
NOBODY = hashed("")


def passwords():
    return json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}


def keep(name, password):
    """Keep a user's password, or none any more."""
    kept = passwords()
    if password is None:
        kept.pop(name, None)
    else:
        kept[name] = hashed(password)
    fresh = KEPT.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as writer:
        json.dump(kept, writer)
        writer.flush()
        os.fsync(writer.fileno())
    fresh.replace(KEPT)


async def knows(name, password):
    """Whether this is the password of that user."""
    known = {**passwords(), ADMIN: SETTINGS["admin"]["password"]}
    right = await asyncio.get_running_loop().run_in_executor(None, matches, password, known.get(name, NOBODY))
    return right and name in known


class Accounts(Authenticator):
    """Lets in who knows the password that is kept for the name."""

    async def authenticate(self, handler, data):
        name, password = data.get("username", ""), data.get("password", "")
        if len(password) <= LONGEST and await knows(name, password):
            return name
        return None

    def delete_user(self, user):
        super().delete_user(user)
        keep(user.name, None)

    def get_handlers(self, app):
        own = [("/password", PasswordPage), (r"/api/users/([^/]+)/password", PasswordOf)]
        return [*own, *super().get_handlers(app)]


class PasswordPage(BaseHandler):
    """Where users change their password, and the admin gives others one."""

    @web.authenticated
    async def get(self):
        self.finish(await self.render_template("password.html", admin=ADMIN, shortest=SHORTEST, longest=LONGEST))


class PasswordOf(APIHandler):
    """``PUT`` with ``{"password": …}`` by an admin, or by oneself with the present one as ``current``."""

    async def put(self, name):
        asked = self.get_json_body()
        if self.current_user is None:
            raise web.HTTPError(403)
        if not isinstance(asked, dict) or not all(isinstance(value, str) for value in asked.values()):
            raise web.HTTPError(400, "An object of texts is needed.")
        # Tokens of notebook servers and such act for a user, too, but have no such right.
        anybodys = "admin:users" in self.expanded_scopes
        if not anybodys and name != self.current_user.name:
            raise web.HTTPError(403, "Only an admin may change the password of somebody else.")
        if name == ADMIN:
            raise web.HTTPError(403, "The password of the delivered account does not change.")
        if not anybodys and not await knows(name, asked.get("current", "")[:LONGEST]):
            raise web.HTTPError(403, "That is not the present password.")
        user = self.find_user(name)
        if user is None:
            raise web.HTTPError(404, "There is no such user.")
        if not SHORTEST <= len(asked.get("password", "")) <= LONGEST:
            raise web.HTTPError(400, f"A password has {SHORTEST} to {LONGEST} characters.")
        keep(name, asked["password"])
        # Whoever was logged in with the former password is not any more.
        user.orm_user.cookie_id = orm.new_token()
        self.db.commit()
        self.set_status(204)
