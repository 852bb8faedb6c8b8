"""Settings of the hub of one slice, read by JupyterHub itself; what differs between slices stands in ``settings.json``."""

import json
import os
import sys
from pathlib import Path

from tornado.netutil import Resolver

sys.path.insert(0, str(Path(__file__).parent))

from pumasi_accounts import Accounts
from pumasi_servers import Front, Launched, SocketResolver

unit = os.environ["PUMASI_UNIT"]
asked = json.loads(Path("/etc/pumasi/slices", unit, "settings.json").read_text(encoding="utf-8"))
state = Path("/var/lib/pumasi", unit, "hub")
Resolver.configure(SocketResolver)

c = get_config()  # noqa: F821 (JupyterHub's own)
c.JupyterHub.bind_url = asked["public_url"]
c.JupyterHub.hub_bind_url = asked["hub_url"]
c.JupyterHub.db_url = f"sqlite:///{state}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = str(state / "cookie_secret")
c.JupyterHub.template_paths = [str(Path(__file__).parent / "templates")]
c.JupyterHub.authenticator_class = Accounts
c.JupyterHub.spawner_class = Launched
c.JupyterHub.proxy_class = Front
c.JupyterHub.active_server_limit = asked["servers_at_once"]
# systemd ends the notebook servers with their hub; nobody is left to be asked for it.
c.JupyterHub.cleanup_servers = False
c.Authenticator.admin_users = {asked["admin"]["name"]}
c.Authenticator.username_pattern = r"^[a-z][a-z0-9_]{0,15}$"
c.Spawner.poll_interval = 15
c.Spawner.http_timeout = 60
# The one port that a notebook server takes for "none was asked for".
c.Spawner.port = 8888
