"""What a caller must be allowed to do to call a method."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """What a token allows; neither scope includes the other."""

    READ = "read"
    WRITE = "write"


# Of every method that may be called; None: anybody. Whatever is not here needs WRITE: what someone forgot is shut, not
# open.
SCOPES: dict[str, dict[str, Scope | None]] = {
    "duet.v1.SearchService": {
        "Search": Scope.READ,
        "BatchSearch": Scope.READ,
        "Embed": Scope.READ,
        "Explain": Scope.READ,
    },
    "duet.v1.CatalogService": {
        "GetTaxonomy": Scope.READ,
        "GetItem": Scope.READ,
        "ListItems": Scope.READ,
        "GetSnapshot": Scope.READ,
        "ListSnapshots": Scope.READ,
        "GetLimits": Scope.READ,
        "UpsertItems": Scope.WRITE,
        "DeleteItems": Scope.WRITE,
        "PublishSnapshot": Scope.WRITE,
    },
    # Load balancers and Kubernetes ask without a token, and learn nothing but that the server is up.
    "grpc.health.v1.Health": {"Check": None, "List": None, "Watch": None},
    "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo": Scope.READ},
    "grpc.reflection.v1.ServerReflection": {"ServerReflectionInfo": Scope.READ},
}


def needed(path: str) -> Scope | None:
    """The scope that a method (``/service/Method``) needs; None if it needs none."""
    service, _, method = path.removeprefix("/").rpartition("/")
    return SCOPES.get(service, {}).get(method, Scope.WRITE)
