"""Tokens that stand for less than a log-in of their user: of a trust, an application credential, EC2 keys, OAuth.

What outlives such a token, or says more than it does, is not for its holder to make.
"""

from __future__ import annotations

from haneul.identity.lookup import refuse
from haneul.kernel.context import Context

PRIMARY = frozenset({"password", "token"})


def delegated(context: Context) -> bool:
    return context.trust_id is not None or not PRIMARY.issuperset(context.methods)


def refuse_delegated(context: Context, action: str) -> None:
    if delegated(context):
        raise refuse(action)
