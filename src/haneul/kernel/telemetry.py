"""Structured logs with request ids, and the metrics of `/metrics`."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

_FAST = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

REQUESTS = Histogram("haneul_request_seconds", "Time to answer a request.", ["service", "method", "route", "status"],
                     buckets=_FAST)
TASK_STEPS = Histogram("haneul_task_step_seconds", "Time of a step of a task, waits included.", ["kind", "step", "outcome"],
                       buckets=(*_FAST, 60.0, 300.0))
TASKS = Gauge("haneul_tasks", "Tasks that are not finished.", ["state"])
QUEUE_AGE = Gauge("haneul_task_queue_age_seconds", "How long the oldest task that is due has waited.")
HOSTS = Gauge("haneul_hosts", "Hosts by state.", ["state"])
SERVERS = Gauge("haneul_servers", "Servers by status.", ["status"])
RECONCILED = Counter("haneul_reconciler_runs", "Runs of a reconciler.", ["name", "outcome"])
MENDED = Counter("haneul_mended", "Differences that a reconciler mended.", ["name"])

SECRET = ("password", "token", "secret", "adminpass", "x-auth-token", "x-subject-token", "private_key", "user_data")


def _redact(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    for key in event:
        if any(word in key.lower() for word in SECRET):
            event[key] = "***"
    return event


def configure(level: str = "info", format: str = "json") -> None:
    """Once a process: log lines go to standard error, secrets never do."""
    renderer: Any = structlog.processors.JSONRenderer() if format == "json" else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level,
                    structlog.processors.TimeStamper(fmt="iso", utc=True), _redact,
                    structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr), cache_logger_on_first_use=True)
