"""`haneul routes`: every route of the cloud, with its policy rule and microversions."""

from __future__ import annotations


def run() -> None:
    from haneul.kernel.wire.routes import Table
    from haneul.rooms import ROOMS

    rows = Table([service for room in ROOMS for service in room.services]).rows()
    columns = ("service", "method", "path", "rule", "versions")
    widths = [max([len(column), *(len(row[column]) for row in rows)]) for column in columns]
    for row in [{column: column for column in columns}, *rows]:
        print("  ".join(row[column].ljust(width) for column, width in zip(columns, widths, strict=True)).rstrip())
