"""How the hub has notebook servers started, and how it and its users reach them.

Each listens on a socket in a folder of its own, which only its user and the hub's unix user get to: a port of the host would be
there for the other users, too, to take before it or to try.
"""

import asyncio
import json
import os
import socket
import subprocess

from jupyterhub.proxy import Proxy
from jupyterhub.spawner import Spawner
from tornado.ioloop import PeriodicCallback
from tornado.netutil import DefaultLoopResolver, Resolver

UNIT = os.environ["PUMASI_UNIT"]
LAUNCHER = socket.socket(fileno=int(os.environ.pop("PUMASI_LAUNCHER")))
SUFFIX = ".notebook"
LONGEST_ANSWER = 4096
SECONDS_BETWEEN_LOOKS = 5.0


class SocketResolver(Resolver):
    """Knows the socket of a notebook server by the name ``<user>.notebook``, and everything else as always."""

    def initialize(self):
        self._others = DefaultLoopResolver()

    async def resolve(self, host, port, family=socket.AF_UNSPEC):
        if host.endswith(SUFFIX):
            return [(socket.AF_UNIX, f"/run/pumasi/{UNIT}/{host.removesuffix(SUFFIX)}/server.sock")]
        return await self._others.resolve(host, port, family)


class Launched(Spawner):
    """A notebook server that the launcher runs as a unix user of its own."""

    _turn = asyncio.Lock()

    async def start(self):
        environment = {key: value for key, value in self.get_env().items() if isinstance(value, str)}
        if not await self._ask("start", environment=environment):
            raise RuntimeError("The notebook server could not be started.")
        return f"http://{self.user.name}{SUFFIX}:80"

    async def stop(self, now=False):
        await self._ask("stop")

    async def poll(self):
        return None if await self._ask("runs") else 0

    async def _ask(self, what, **more):
        """One request and its answer; a launcher that is gone takes the hub with it."""
        request = json.dumps({"do": what, "name": self.user.name, **more}).encode()
        async with self._turn:
            answer = json.loads(await asyncio.get_running_loop().run_in_executor(None, self._exchange, request))
        if "why" in answer:
            self.log.error("The launcher refused: %s", answer["why"])
        return answer["done"]

    @staticmethod
    def _exchange(request):
        LAUNCHER.send(request)
        return LAUNCHER.recv(LONGEST_ANSWER)


class Front(Proxy):
    """nginx, which ends TLS. It finds servers by their names, and so is told nothing when one comes or goes."""

    def __init__(self, **words):
        super().__init__(**words)
        self._routes, self._nginx = {}, None

    async def start(self):
        """It listens only once there is a hub behind it: with the first route."""

    async def stop(self):
        if self._nginx is not None:
            self._watch.stop()
            self._nginx.terminate()

    async def add_route(self, routespec, target, data):
        self._routes[routespec] = {"routespec": routespec, "target": target, "data": data}
        if self._nginx is None:
            self._listen()
            self._watch = PeriodicCallback(self._look, SECONDS_BETWEEN_LOOKS * 1000)
            self._watch.start()

    async def delete_route(self, routespec):
        self._routes.pop(routespec, None)

    async def get_all_routes(self):
        return dict(self._routes)

    def _listen(self):
        words = ["/usr/sbin/nginx", "-e", "stderr", "-c", f"/etc/pumasi/slices/{UNIT}/nginx.conf"]
        self._nginx = subprocess.Popen(words, stdin=subprocess.DEVNULL)

    def _look(self):
        if self._nginx.poll() is not None:
            self.log.error("nginx has ended and is started again.")
            self._listen()
