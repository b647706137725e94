"""Discovery: what versions each service speaks, in each service's own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from haneul.kernel.cloud import Cloud
from haneul.kernel.wire.call import Reply
from haneul.kernel.wire.routes import Service
from haneul.kernel.wire.versions import text

Page = Callable[[Cloud, Mapping[str, Any]], Reply]


def pages(services: list[Service]) -> dict[str, Page]:
    """The unauthenticated pages that every cloud has: service roots, versions, health and metrics."""
    found: dict[str, Page] = {
        "/healthz": lambda cloud, scope: Reply({"status": "ok"}),
        "/metrics": lambda cloud, scope: Reply(raw=generate_latest(), content_type=CONTENT_TYPE_LATEST),
    }
    makers = {"identity": _identity, "compute": _compute, "network": _network, "image": _image, "placement": _placement,
              "block-storage": _volume}
    for service in services:
        maker = makers.get(service.type)
        if maker is not None:
            found.update(maker(service))
    found["/"] = lambda cloud, scope: Reply(
        {"versions": {"values": [_identity_version(cloud, service) for service in services if service.type == "identity"]},
         "services": {service.type: cloud.url + service.prefix for service in services}}, status=200)
    return found


def _link(cloud: Cloud, path: str) -> list[dict[str, str]]:
    return [{"rel": "self", "href": f"{cloud.url}{path}/"}]


def _identity_version(cloud: Cloud, service: Service, prefix: str = "") -> dict[str, Any]:
    return {"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z", "links": _link(cloud, prefix or service.prefix),
            "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}]}


def _identity(service: Service) -> dict[str, Page]:
    found: dict[str, Page] = {"/identity": lambda cloud, scope: Reply(
        {"versions": {"values": [_identity_version(cloud, service)]}}, status=300)}
    for prefix in (service.prefix, *service.aliases):
        found[prefix] = lambda cloud, scope, prefix=prefix: Reply({"version": _identity_version(cloud, service, prefix)})
    return found


def _compute(service: Service) -> dict[str, Page]:
    assert service.microversions is not None
    low, high = text(service.microversions.minimum), text(service.microversions.maximum)

    def version(cloud: Cloud) -> dict[str, Any]:
        return {"id": "v2.1", "status": "CURRENT", "version": high, "min_version": low, "updated": "2013-07-23T11:33:21Z",
                "links": _link(cloud, service.prefix)}

    def whole(cloud: Cloud) -> dict[str, Any]:
        media = [{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}]
        described = {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"}
        return {**version(cloud), "media-types": media, "links": [*version(cloud)["links"], described]}

    def old(cloud: Cloud) -> dict[str, Any]:
        """v2.0 is what 2.1 is without microversions: the alias."""
        return {"id": "v2.0", "status": "SUPPORTED", "version": "", "min_version": "", "updated": "2011-01-21T11:33:21Z",
                "links": _link(cloud, service.aliases[0])}

    return {"/compute": lambda cloud, scope: Reply({"versions": [old(cloud), version(cloud)]}),
            service.aliases[0]: lambda cloud, scope: Reply({"version": {**whole(cloud), **old(cloud)}}),
            service.prefix: lambda cloud, scope: Reply({"version": whole(cloud)})}


def _network(service: Service) -> dict[str, Page]:
    def version(cloud: Cloud) -> dict[str, Any]:
        return {"id": "v2.0", "status": "CURRENT", "links": _link(cloud, service.prefix)}

    def resources(cloud: Cloud) -> list[dict[str, Any]]:
        paths = {route.path for routes in service.routes for route in routes.items}
        names = sorted(path.split("/")[1] for path in paths if path.count("/") == 1)
        return [{"name": name.removesuffix("s"), "collection": name,
                 "links": [{"rel": "self", "href": f"{cloud.url}{service.prefix}/{name}"}]} for name in names]

    return {"/network": lambda cloud, scope: Reply({"versions": [version(cloud)]}),
            service.prefix: lambda cloud, scope: Reply({"resources": resources(cloud)})}


def _image(service: Service) -> dict[str, Page]:
    def versions(cloud: Cloud) -> dict[str, Any]:
        minors = [18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
        return {"versions": [{"id": f"v2.{minor}", "status": "CURRENT" if minor == minors[0] else "SUPPORTED",
                              "links": _link(cloud, service.prefix)} for minor in minors]}

    return {"/image": lambda cloud, scope: Reply(versions(cloud), status=300),
            "/image/versions": lambda cloud, scope: Reply(versions(cloud)),
            service.prefix: lambda cloud, scope: Reply(versions(cloud))}


def _placement(service: Service) -> dict[str, Page]:
    assert service.microversions is not None
    low, high = text(service.microversions.minimum), text(service.microversions.maximum)
    return {service.prefix: lambda cloud, scope: Reply({"versions": [
        {"id": "v1.0", "status": "CURRENT", "min_version": low, "max_version": high,
         "links": [{"rel": "self", "href": ""}]}]})}


def _volume(service: Service) -> dict[str, Page]:
    assert service.microversions is not None
    low, high = text(service.microversions.minimum), text(service.microversions.maximum)

    def versions(cloud: Cloud) -> dict[str, Any]:
        described = {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"}
        return {"versions": [{
            "id": "v3.0", "status": "CURRENT", "version": high, "min_version": low, "updated": "2024-04-03T00:00:00Z",
            "links": [described, *_link(cloud, service.prefix)],
            "media-types": [{"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}]}]}

    return {"/volume": lambda cloud, scope: Reply(versions(cloud), status=300),
            service.prefix: lambda cloud, scope: Reply(versions(cloud))}
