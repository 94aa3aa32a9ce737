"""Search requests and results between messages and dataclasses, each way: the server's and the client's halves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from google.rpc import status_pb2

from model.manipulation import Operation
from model.taxonomy import Taxonomy
from pipelines.errors import RequestError
from pipelines.rpc.duet.v1 import search_pb2
from pipelines.search.limits import Limits, check_count
from pipelines.search.products import Vector
from pipelines.search.query import QueryDuet
from pipelines.search.request import AttributeCondition, Manipulation, Match, SearchRequest
from pipelines.search.result import Contribution, Hit, SearchResult

from .errors import ServiceError, code_of, read_details
from .filter_messages import read_filter, write_filter
from .messages import (
    read_classes,
    read_metadata,
    read_snapshot_name,
    snapshot_name,
    write_metadata,
)
from .pictures import Pictures

T = TypeVar("T")

_MATCHES = {
    search_pb2.MATCH_UNSPECIFIED: Match.ALL,
    search_pb2.MATCH_ALL: Match.ALL,
    search_pb2.MATCH_ANY: Match.ANY,
}
_OPERATIONS = {
    search_pb2.MANIPULATION_OPERATION_UNSPECIFIED: Operation.REPLACE,
    search_pb2.MANIPULATION_OPERATION_REPLACE: Operation.REPLACE,
    search_pb2.MANIPULATION_OPERATION_ADD: Operation.ADD,
    search_pb2.MANIPULATION_OPERATION_REMOVE: Operation.REMOVE,
}


def read_request(message: search_pb2.SearchRequest, limits: Limits, pictures: Pictures) -> SearchRequest:
    """A request as it was asked, with the picture that it names.

    Raises:
        RequestError: what no dataclass can hold, or is more than the limits; or a picture that is not to be had.
    """
    check_count(len(message.attributes), limits.attribute_conditions, "attributes")
    for n, one in enumerate(message.attributes):
        number = len(one.classes) + len(one.excluded_classes)
        check_count(number, limits.classes_per_condition, f"attributes[{n}].classes")
    check_count(len(message.manipulations), limits.manipulations, "manipulations")
    query = message.WhichOneof("query")
    image = pictures.read(message.image_uri, "image_uri") if query == "image_uri" else None
    return SearchRequest(
        image=message.image if query == "image" else image,
        image_uri=message.image_uri if query == "image_uri" else None,
        item_id=message.item_id if query == "item_id" else None,
        attributes=tuple(
            AttributeCondition(
                attribute=condition.attribute,
                classes=tuple(condition.classes),
                match=_choice(_MATCHES, condition.match, f"attributes[{n}].match"),
                excluded_classes=tuple(condition.excluded_classes),
                weight=condition.weight if condition.HasField("weight") else 1.0,
            )
            for n, condition in enumerate(message.attributes)
        ),
        manipulations=tuple(
            Manipulation(
                attribute=manipulation.attribute,
                operation=_choice(_OPERATIONS, manipulation.operation, f"manipulations[{n}].operation"),
                to_class=manipulation.to_class or None,
                from_class=manipulation.from_class or None,
            )
            for n, manipulation in enumerate(message.manipulations)
        ),
        filter=read_filter(message.filter, limits) if message.HasField("filter") else None,
        page_size=message.page_size,
        page_token=message.page_token,
        snapshot=read_snapshot_name(message.snapshot, "snapshot"),
        group_by=message.group_by,
        exact=message.exact,
        validate_only=message.validate_only,
    )


def write_request(request: SearchRequest) -> search_pb2.SearchRequest:
    """A request as a message."""
    matches = {match: number for number, match in _MATCHES.items()}
    operations = {operation: number for number, operation in _OPERATIONS.items()}
    return search_pb2.SearchRequest(
        image=request.image,
        image_uri=request.image_uri,
        item_id=request.item_id,
        attributes=[
            search_pb2.AttributeCondition(
                attribute=condition.attribute,
                classes=condition.classes,
                match=matches[condition.match],
                excluded_classes=condition.excluded_classes,
                weight=condition.weight,
            )
            for condition in request.attributes
        ],
        manipulations=[
            search_pb2.Manipulation(
                attribute=manipulation.attribute,
                operation=operations[manipulation.operation],
                from_class=manipulation.from_class,
                to_class=manipulation.to_class,
            )
            for manipulation in request.manipulations
        ],
        filter=None if request.filter is None else write_filter(request.filter),
        page_size=request.page_size,
        page_token=request.page_token,
        snapshot=snapshot_name(request.snapshot) if request.snapshot else "",
        group_by=request.group_by,
        exact=request.exact,
        validate_only=request.validate_only,
    )


def write_result(result: SearchResult) -> search_pb2.SearchResponse:
    """A result as a message."""
    message = search_pb2.SearchResponse(
        next_page_token=result.next_page_token,
        total_candidates=result.total_candidates,
        exact=result.exact,
        snapshot=snapshot_name(result.snapshot_id),
        model=result.model,
        total_groups=result.total_groups,
        plan=result.plan,
    )
    for hit in result.hits:
        _fill_hit(hit, message.hits.add())
    for stage, seconds in result.timings.items():
        message.timings.add(stage=stage).duration.FromNanoseconds(round(seconds * 1e9))
    return message


def read_result(message: search_pb2.SearchResponse) -> SearchResult:
    """A message as a result."""
    return SearchResult(
        hits=tuple(_read_hit(hit) for hit in message.hits),
        total_candidates=message.total_candidates,
        exact=message.exact,
        snapshot_id=read_snapshot_name(message.snapshot, "snapshot"),
        model=message.model,
        timings={timing.stage: timing.duration.ToNanoseconds() / 1e9 for timing in message.timings},
        next_page_token=message.next_page_token,
        total_groups=message.total_groups,
        plan=message.plan,
    )


def write_error(status: status_pb2.Status) -> search_pb2.SearchError:
    """The status of one request of a batch."""
    reason, field = read_details(status)
    return search_pb2.SearchError(code=status.code, reason=reason, message=status.message, field=field)


def read_batch_response(message: search_pb2.BatchSearchResponse) -> SearchResult | ServiceError:
    """The answer to one request of a batch."""
    if message.HasField("response"):
        return read_result(message.response)
    error = message.error
    return ServiceError(code_of(error.code), error.message, error.reason, error.field)


def write_duet(
    duet: QueryDuet, global_embedding: Vector | None, taxonomy: Taxonomy, model: str
) -> search_pb2.EmbedResponse:
    """The duet of a picture as a message."""
    message = search_pb2.EmbedResponse(model=model)
    for n, attribute in enumerate(taxonomy.attributes):
        part = message.attributes.add(attribute=attribute.name, embedding=duet.attribute_embeddings[n].tolist())
        for index, name in enumerate(attribute.classes, taxonomy.offsets[n]):
            part.classes.add(
                name=name,
                probability=float(duet.probabilities[index]),
                predicted=bool(duet.carried[index]),
                embedding=duet.class_embeddings.get(index, np.empty(0)).tolist(),
            )
    if global_embedding is not None:
        message.global_embedding.extend(global_embedding.tolist())
    return message


def write_hit(hit: Hit) -> search_pb2.Hit:
    """A hit as a message."""
    message = search_pb2.Hit()
    _fill_hit(hit, message)
    return message


def _fill_hit(hit: Hit, message: search_pb2.Hit) -> None:
    """In place: a page has hundreds of contributions, and what is built beside a message is copied into it."""
    message.rank, message.tier, message.score = hit.rank, hit.tier, hit.score
    message.item_id, message.image_uri = hit.item_id, hit.image_uri
    write_metadata(hit.metadata, message.metadata)
    for one in hit.contributions:
        part = message.contributions.add(
            attribute=one.attribute, similarity=one.similarity, class_similarity=one.class_similarity
        )
        # Most have none of these, and to fill a list with nothing takes as long as to make the contribution.
        for matched in one.matched:
            part.matched_classes.add(name=matched.name, probability=matched.probability)
        if one.removed:
            part.removed_classes.extend(one.removed)
        if one.added:
            part.added_classes.extend(one.added)


def _read_hit(message: search_pb2.Hit) -> Hit:
    return Hit(
        rank=message.rank,
        tier=message.tier,
        score=message.score,
        item_id=message.item_id,
        image_uri=message.image_uri,
        metadata=read_metadata(message.metadata),
        contributions=tuple(
            Contribution(
                attribute=one.attribute,
                similarity=one.similarity,
                class_similarity=one.class_similarity if one.HasField("class_similarity") else None,
                matched=read_classes(one.matched_classes),
                removed=tuple(one.removed_classes),
                added=tuple(one.added_classes),
            )
            for one in message.contributions
        ),
    )


def _choice(choices: Mapping[Any, T], number: int, path: str) -> T:
    if number not in choices:
        raise RequestError("ENUM_UNKNOWN", f"this server knows no value {number} here", path)
    return choices[number]
