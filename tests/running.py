"""A whole cloud for tests: the control plane in this process, on a free port; the agent as its own process on fake drivers."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import openstack

from haneul.control import ControlServer, build
from haneul.fleet.model import HostRow
from haneul.kernel import config as configuration
from haneul.kernel import telemetry
from haneul.kernel.config import Paths

ADMIN_PASSWORD = "test-admin-password"
PATIENCE = 120.0  # with the start of processes: a busy machine takes its time, and all tests of a run would fail with it
PERSONAS = ("admin", "manager", "member", "reader", "other", "nobody")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Any, seconds: float = 20.0, what: str = "the condition") -> Any:
    """The first true value of `condition()`; AssertionError when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come true within {seconds:g} s"
        time.sleep(0.02)


class RunningCloud:
    """`settings` are configuration sections over the defaults for tests (cheap password hashes, fake hypervisor)."""

    def __init__(self, folder: Path, settings: dict[str, dict[str, Any]] | None = None) -> None:
        self.folder = folder
        self.paths = Paths(folder)
        self.port = free_port()
        self.settings: dict[str, dict[str, Any]] = {
            "api": {"port": self.port}, "identity": {"admin_password": ADMIN_PASSWORD, "bcrypt_rounds": 4},
            "host": {"name": "host-1", "hypervisor": "fake", "fabric": "fake", "heartbeat_seconds": 1.0},
            "volume": {"backends": {"file": {"driver": "file"}, "second": {"driver": "file"}}},
            "image": {"stores": {"second": {"weight": -1}, "web": {"driver": "http"}}},
            "compute": {"shutdown_seconds": 2}, "log": {"level": "warning", "format": "text"}}
        for section, values in (settings or {}).items():
            self.settings.setdefault(section, {}).update(values)
        self._agent: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._personas: dict[str, dict[str, Any]] = {}
        self._connections: dict[str, openstack.connection.Connection] = {}

    # ---------------------------------------------------------------- life

    def start(self) -> RunningCloud:
        self._open_the_way()
        self.paths.run.mkdir(parents=True, exist_ok=True)
        self.paths.logs.mkdir(parents=True, exist_ok=True)
        if not self.paths.cloud_id.exists():
            self.paths.cloud_id.write_text(secrets.token_hex(4) + "\n")
            self.paths.agent_secret.write_text(secrets.token_hex(32) + "\n")
        url = database_url(self.folder)
        if url:
            self.settings.setdefault("database", {})["url"] = url
        self.start_agent()
        self.start_control()
        return self

    def _open_the_way(self) -> None:
        """qemu-img has a user of its own; pytest's folders are for root alone."""
        for folder in (self.folder, *self.folder.parents):
            if folder == Path(tempfile.gettempdir()) or folder.stat().st_uid != os.getuid():
                return
            folder.chmod(folder.stat().st_mode | 0o111)

    def start_agent(self) -> None:
        with open(self.paths.logs / "agent.log", "ab") as log:
            self._agent = subprocess.Popen(
                [sys.executable, "-m", "haneul.host.agent", "--state", str(self.folder), "--config",
                 msgspec.json.encode(self.settings).decode()], stdout=log, stderr=log)
        wait_until(self.paths.agent_socket.exists, PATIENCE, "the agent's socket")

    def start_control(self) -> None:
        config = configuration.load(self.folder, self.settings)
        telemetry.configure(config.log.level, config.log.format)
        self.cloud, app = build(config, self.paths)
        self.server = ControlServer(self.cloud, app)
        self._thread = threading.Thread(target=self.server.run, name="control", daemon=True)
        self._thread.start()
        wait_until(lambda: self.server.started, PATIENCE, "the control plane")
        wait_until(self._hosts, PATIENCE, "an enrolled host")

    def _hosts(self) -> bool:
        with self.cloud.database.read() as tx:
            return tx.query(HostRow).filter_by(state="up").count() > 0

    def stop_control(self) -> None:
        self.server.should_exit = True
        if self._thread is not None:
            self._thread.join(15)

    def kill_agent(self) -> None:
        if self._agent is not None:
            self._agent.kill()
            self._agent.wait()

    def stop(self) -> None:
        for connection in self._connections.values():
            with contextlib.suppress(Exception):
                connection.close()
        self.stop_control()
        if self._agent is not None:
            self._agent.terminate()
            self._agent.wait(15)

    # ---------------------------------------------------------------- clients

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def credentials(self, persona: str = "admin") -> dict[str, Any]:
        """What `openstack.connect` takes. Personas beside admin share the project `work`; `other` is a member of another one,
        `nobody` of one without a role that counts."""
        if persona == "admin":
            return {"auth_url": f"{self.url}/identity/v3", "username": "admin", "password": ADMIN_PASSWORD,
                    "project_name": "admin", "user_domain_id": "default", "project_domain_id": "default"}
        if persona not in self._personas:
            self._personas[persona] = self._make_persona(persona)
        return self._personas[persona]

    def _make_persona(self, persona: str) -> dict[str, Any]:
        admin = self.connect("admin").identity
        project_name = {"other": "elsewhere", "nobody": "nowhere"}.get(persona, "work")
        role_name = {"other": "member", "nobody": "observer"}.get(persona, persona)
        project = admin.find_project(project_name) or admin.create_project(name=project_name, domain_id="default")
        role = admin.find_role(role_name) or admin.create_role(name=role_name)
        user = admin.find_user(persona) or admin.create_user(name=persona, password="secret-" + persona, domain_id="default")
        admin.assign_project_role_to_user(project, user, role)
        return {**self.credentials("admin"), "username": persona, "password": "secret-" + persona,
                "project_name": project_name}

    def connect(self, persona: str = "admin", **options: Any) -> openstack.connection.Connection:
        """An SDK connection; one a persona unless options ask for another."""
        if options:
            return openstack.connect(load_yaml_config=False, load_envvars=False, auth_type="password", region_name="RegionOne",
                                     **self.credentials(persona), **options)
        if persona not in self._connections:
            self._connections[persona] = openstack.connect(
                load_yaml_config=False, load_envvars=False, auth_type="password", region_name="RegionOne",
                **self.credentials(persona))
        return self._connections[persona]

    def http(self, persona: str | None = "admin") -> httpx.Client:
        """A plain client with the persona's token, for what the SDK would not send."""
        headers = {"X-Auth-Token": self.connect(persona).auth_token} if persona else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, verify=False)  # no TLS here; certificates load slowly

    def settle(self, seconds: float = 30.0) -> None:
        """No task is left to do."""
        from haneul.kernel.tasks import TaskRow

        def nothing_left() -> bool:
            with self.cloud.database.read() as tx:
                return tx.query(TaskRow).filter(TaskRow.finished.is_(None)).count() == 0

        wait_until(nothing_left, seconds, "the end of all tasks")


def database_url(folder: Path) -> str:
    """Where HANEUL_TEST_DATABASE is the URL of a PostgreSQL server's maintenance database, a new database there; else SQLite."""
    server = os.environ.get("HANEUL_TEST_DATABASE", "")
    if not server.startswith("postgresql"):
        return ""
    from sqlalchemy import create_engine, make_url, text
    marker = folder / "database-name"
    url = make_url(server)
    if not marker.exists():
        name = "haneul_" + secrets.token_hex(6)
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:  # of template0, to which nobody is connected: others make theirs meanwhile
            connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE template0'))
        engine.dispose()
        marker.write_text(name)
    return url.set(database=marker.read_text()).render_as_string(hide_password=False)
