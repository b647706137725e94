"""The control process: every API behind one port, the task runner and the reconcilers."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import gc
import os
import pwd
import signal
import sys
from pathlib import Path
from typing import Any

import structlog
import uvicorn

from haneul.fleet.agents import Agents
from haneul.fleet.hosts import Listeners, Polls
from haneul.kernel import config as configuration
from haneul.kernel import migrate, structs, telemetry
from haneul.kernel.cloud import Cloud
from haneul.kernel.config import Config, Paths
from haneul.kernel.database import Database
from haneul.kernel.policy import Policy
from haneul.kernel.reconcilers import Reconcilers
from haneul.kernel.tasks import Runner
from haneul.kernel.wire.app import Application
from haneul.rooms import ROOMS

log = structlog.get_logger("control")


def build(config: Config, paths: Paths) -> tuple[Cloud, Application]:
    """A cloud that is ready to be served, database migrated and rooms bootstrapped; runner and reconcilers not started."""
    structs.prepare()
    cloud = Cloud(config, paths)
    settings = config.database
    paths.control.mkdir(parents=True, exist_ok=True)
    cloud.database = Database(settings.url or f"sqlite:///{paths.database}", pool=settings.pool,
                              synchronous=settings.synchronous)
    cloud.database.cloud = cloud
    migrate.upgrade(cloud.database, paths)
    cloud.policy = Policy([rule for room in ROOMS for rule in room.rules], paths.policy)
    cloud.runner = Runner(cloud, threads=config.tasks.runners, lease_seconds=config.tasks.lease_seconds,
                          poll_seconds=config.tasks.poll_seconds)
    cloud.reconcilers = Reconcilers(cloud)
    cloud.put(Agents(cloud))
    cloud.put(Polls(cloud))
    cloud.put(Listeners())
    cloud.services = [service for room in ROOMS for service in room.services]
    for room in ROOMS:
        if room.prepare is not None:
            room.prepare(cloud)
    from haneul.identity import authenticate
    from haneul.kernel.wire import discovery
    plain: dict[str, Any] = discovery.pages(cloud.services)
    sockets: dict[str, Any] = {}
    for room in ROOMS:
        plain.update(room.plain)
        sockets.update(room.sockets)
    return cloud, Application(cloud, cloud.services, authenticate, plain=plain, sockets=sockets)


class ControlServer(uvicorn.Server):
    """Uvicorn that starts and ends the cloud's engines with itself."""

    def __init__(self, cloud: Cloud, app: Application) -> None:
        api = cloud.config.api
        super().__init__(uvicorn.Config(
            app, host=api.bind, port=api.port, loop="uvloop", http="httptools", ws="websockets-sansio", access_log=False,
            log_config=None, lifespan="off", timeout_keep_alive=75, server_header=False, date_header=False, backlog=1024,
            h11_max_incomplete_event_size=1 << 16))
        self.cloud = cloud

    async def startup(self, sockets: Any = None) -> None:
        self.cloud.runner.start()
        if self.cloud.database.sqlite:  # one control process: whoever held a lease is gone
            self.cloud.runner.release_dead({self.cloud.runner.owner})
        self.cloud.reconcilers.start()
        await super().startup(sockets)

    async def shutdown(self, sockets: Any = None) -> None:
        await super().shutdown(sockets)
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self.cloud.reconcilers.stop()
        self.cloud.runner.stop()
        self.cloud.get(Agents).close()
        self.cloud.database.close()


def drop_privileges(paths: Paths, user: str = "haneul") -> None:
    """Root prepares the state directory and becomes `user`. Not root: stays who it is."""
    if os.geteuid() != 0:
        return
    entry = pwd.getpwnam(user)
    for path in (paths.control, paths.images, paths.fernet_keys):
        path.mkdir(parents=True, exist_ok=True)
    for root, folders, files in os.walk(paths.control):
        for name in (".", *folders, *files):
            os.chown(os.path.join(root, name), entry.pw_uid, entry.pw_gid, follow_symlinks=False)
    os.setgroups([entry.pw_gid])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.umask(0o077)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="haneul.control", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--port", type=int)
    parser.add_argument("--stay-root", action="store_true", help="for tests in scratch directories")
    options = parser.parse_args(arguments)
    paths = Paths(options.state.absolute())
    try:
        config = configuration.load(paths.state, {"api": {"port": options.port}} if options.port else None)
    except configuration.ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    telemetry.configure(config.log.level, config.log.format)
    sys.setswitchinterval(0.002)  # the event loop must not wait 5 ms for each busy thread
    paths.run.mkdir(parents=True, exist_ok=True)
    lock = open(paths.run / "control.lock", "w")  # noqa: SIM115 - held until the process ends
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"Another control process already serves {paths.state}.", file=sys.stderr)
        return 1
    (paths.run / "control.pid").write_text(f"{os.getpid()}\n")
    if not config.identity.admin_password and paths.admin_password.exists():
        config.identity.admin_password = paths.admin_password.read_text().strip()
    if not options.stay_root:
        drop_privileges(paths)
    cloud, app = build(config, paths)
    gc.collect()
    gc.freeze()  # modules, routes and statements stay for ever: a full collection must not walk them while a request waits
    gc.set_threshold(20_000, 20, 20)
    server = ControlServer(cloud, app)
    for name in ("SIGTERM", "SIGINT"):
        signal.signal(getattr(signal, name), server.handle_exit)
    server.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
