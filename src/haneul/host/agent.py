"""The agent process: `python -m haneul.host.agent --state DIR`. One a machine (or one for many fake hosts), as root.

It listens on `<state>/run/agent.sock`. SIGTERM ends it; guests run on and are adopted by the next one.
"""

from __future__ import annotations

import argparse
import fcntl
import gc
import grp
import logging
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from haneul.host.app import App
from haneul.host.faults import Faults
from haneul.host.hosts import Host, open_hosts
from haneul.kernel.config import Config, ConfigError, Paths, load

log = logging.getLogger("haneul.host.agent")


def build(config: Config, paths: Paths) -> App:
    """The application with its drivers, also for a process that serves it by other means than a socket."""
    hosts: list[Host] = open_hosts(config, paths)
    return App(hosts, Faults() if config.host.hypervisor == "fake" else None)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("haneul.host.agent", description="the agent of one machine")
    parser.add_argument("--state", type=Path, required=True, help="the cloud's state directory")
    parser.add_argument("--config", default="{}", metavar="JSON",
                        help='what wins over the file, as {"section": {"key": value}}')
    parser.add_argument("--socket-group", default="", metavar="GROUP",
                        help="group, by name or number, that may use the socket: the control plane's")
    return parser.parse_args(argv)


def _listen(path: Path, group: str) -> socket.socket:
    """The socket is made under another name and then moved into place: it never exists with the wrong owner."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(fresh))
    if group:
        os.chown(fresh, -1, int(group) if group.isdigit() else grp.getgrnam(group).gr_gid)
    os.chmod(fresh, 0o660)
    listener.listen(1024)
    fresh.replace(path)
    return listener


def _only_one(paths: Paths) -> int:
    """A lock that lasts as long as the process; its file is the pid file. The kernel frees it at a kill -9."""
    file = os.open(paths.run / "agent.pid", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"an agent runs already for {paths.state} (pid {os.read(file, 32).decode().strip()})")
    os.ftruncate(file, 0)
    os.write(file, f"{os.getpid()}\n".encode())
    return file


def _log_to_stderr(config: Config) -> None:
    class Line(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            entry: dict[str, Any] = {
                "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{record.msecs:03.0f}Z",
                "level": record.levelname.lower(), "logger": record.name, "event": record.getMessage()}
            if record.exc_info:
                entry["exception"] = self.formatException(record.exc_info)
            if config.log.format == "json":
                return msgspec.json.encode(entry).decode()
            return " ".join(str(value) for value in entry.values())

    handler = logging.StreamHandler()
    handler.setFormatter(Line())
    logging.basicConfig(level=config.log.level.upper(), handlers=[handler])
    logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)  # it reports every lost connection as an error


def main(argv: list[str] | None = None) -> None:
    began = time.monotonic()
    options = _arguments(argv)
    paths = Paths(options.state.absolute())
    try:
        overrides = msgspec.json.decode(options.config, type=dict[str, dict[str, Any]])
        config = load(paths.state, overrides)
    except (ConfigError, msgspec.DecodeError) as error:
        sys.exit(f"configuration: {error}")
    _log_to_stderr(config)
    paths.run.mkdir(parents=True, exist_ok=True)
    lock = _only_one(paths)
    try:
        app = build(config, paths)
    except ConfigError as error:
        sys.exit(f"configuration: {error}")
    listener = _listen(paths.agent_socket, options.socket_group)
    log.info("ready after %.0f ms", (time.monotonic() - began) * 1000)
    gc.collect()
    gc.freeze()
    server = uvicorn.Server(uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", loop="uvloop", http="httptools",
        ws="websockets-sansio", server_header=False, date_header=False, timeout_keep_alive=75,
        timeout_graceful_shutdown=5, backlog=1024))
    server.run(sockets=[listener])
    paths.agent_socket.unlink(missing_ok=True)
    os.ftruncate(lock, 0)
    os._exit(0)  # without waiting for verbs that take minutes: they are asked again


if __name__ == "__main__":
    main()
