"""The image cache on the wire, for administrators."""

from __future__ import annotations

from typing import Any

from haneul.image import cache
from haneul.image.api.images import image_of
from haneul.image.model import ImageRow
from haneul.image.tasks import caching
from haneul.kernel.errors import Conflict
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()


@routes.get("/cache", rule="cache_list")
def index(call: Call) -> dict[str, Any]:
    cached, queued = cache.listed(call.tx)
    return {"cached_images": [{"image_id": row.image_id, "hits": row.hits, "size": row.size, "last_accessed": row.accessed_at,
                               "last_modified": row.cached_at} for row in cached], "queued_images": queued}


@routes.put("/cache/{image_id}", rule="cache_image", target=image_of, status=202)
def queue(call: Call, row: ImageRow) -> None:
    caching.queue(call.tx, call.context, row)


@routes.delete("/cache/{image_id}", rule="cache_delete", target=image_of)
def remove(call: Call, row: ImageRow) -> None:
    cache.drop(call.tx, row.id)


@routes.post("/cache/clean", rule="cache_clean")
def clean(call: Call) -> None:
    cache.clean(call.tx)


@routes.post("/cache/prune", rule="cache_prune")
def prune(call: Call) -> dict[str, Any]:
    gone = cache.prune(call.tx)
    return {"total_files_pruned": len(gone), "total_bytes_pruned": sum(gone)}


@routes.get("/cache/nodes/{image_id}", rule="list_cached_nodes")
def nodes(call: Call) -> None:
    raise Conflict("Centralized caching is not enabled")


@routes.delete("/cache", rule="cache_delete")
def clear(call: Call) -> None:
    cache.clear(call.tx, call.headers.get("x-image-cache-clear-target", "").lower())
