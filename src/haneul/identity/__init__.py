"""Identity: Keystone's v3 API. Who calls, what they may, and where the services are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haneul.identity import bootstrap, policy
from haneul.identity.api import service
from haneul.identity.tokens import Tokens
from haneul.kernel.room import Room

if TYPE_CHECKING:
    from haneul.kernel.cloud import Cloud
    from haneul.kernel.context import Context

room = Room(name="identity", services=[service], rules=policy.RULES, prepare=bootstrap.prepare)


def authenticate(cloud: Cloud, token: str) -> Context | None:
    """Who a token speaks for, None unless it holds at this moment."""
    entry = cloud.get(Tokens).entry(token)
    return None if entry is None else entry.context
