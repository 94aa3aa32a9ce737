"""From a raw request to a plan: everything is checked against what the snapshot lets one ask.

Needs no index, model or server: a `Scope` is enough.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

from model.errors import TaxonomyError
from model.manipulation import Change, Operation
from model.taxonomy import Taxonomy
from pipelines.errors import RequestError

from .filters import check_filter, read_column
from .limits import DEFAULT_PAGE_SIZE, Limits, check_count, read_name
from .paging import PageTokens
from .plan import Condition, Plan, QueryKind, Scope
from .request import AttributeCondition, Manipulation, SearchRequest

_WEIGHTS = (1e-6, 1e6)  # beyond, similarities vanish beside each other, or overflow


def make_plan(request: SearchRequest, scope: Scope, limits: Limits, tokens: PageTokens) -> Plan:
    """Check a request against what the snapshot lets one ask.

    Raises:
        RequestError: with a stable reason and the path of the field at fault; unknown names list the known ones.
    """
    query = _query(request)
    item_id = None if request.item_id is None else read_item_id(request.item_id, limits, "item_id")
    conditions = _conditions(request.attributes, query, scope.taxonomy, limits)
    changes = _changes(request.manipulations, query, scope, limits)
    if query is QueryKind.PROTOTYPES and not any(condition.ranks for condition in conditions):
        message = "nothing to rank by: give an image, an item_id, or an attribute with classes"
        raise RequestError("QUERY_REQUIRED", message)
    return Plan(
        snapshot_id=scope.snapshot_id,
        taxonomy=scope.taxonomy,
        query=query,
        image=request.image,
        item_id=item_id,
        conditions=conditions,
        changes=changes,
        filter=None if request.filter is None else check_filter(request.filter, scope.metadata, limits),
        group_by=None if not request.group_by else read_column(request.group_by, scope.metadata, limits, "group_by")[0],
        exact=request.exact,
        offset=_offset(request, scope, tokens),
        page_size=page_size(request.page_size, limits),
        digest=request.digest,
    )


def page_size(asked: int, limits: Limits) -> int:
    """0 = the default; more than the limit = the limit; negative is refused."""
    if asked < 0:
        raise RequestError("PAGE_SIZE_NEGATIVE", f"page_size is {asked}; give 0 for the default", "page_size")
    return min(asked or DEFAULT_PAGE_SIZE, limits.page_size)


def read_item_id(text: str, limits: Limits, path: str) -> str:
    """An item's id in NFC. Raises `RequestError` for one that no item can have."""
    if not text:
        raise RequestError("ITEM_ID_INVALID", "the item_id is empty", path)
    item_id = read_name(text, limits, path)
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in item_id):
        raise RequestError("ITEM_ID_INVALID", f"the item_id {item_id!r} has a control character", path)
    return item_id


def _query(request: SearchRequest) -> QueryKind:
    if request.image_uri is not None and request.image is None:
        raise RequestError("URI_OUTSIDE_ROOTS", "pictures are read by a server, below its roots", "image_uri")
    if request.image is not None and request.item_id is not None:
        raise RequestError("QUERY_AMBIGUOUS", "give an image or an item_id, not both", "image")
    if request.image is not None:
        return QueryKind.IMAGE
    return QueryKind.PROTOTYPES if request.item_id is None else QueryKind.ITEM


def _conditions(
    asked: Sequence[AttributeCondition], query: QueryKind, taxonomy: Taxonomy, limits: Limits
) -> tuple[Condition, ...]:
    check_count(len(asked), limits.attribute_conditions, "attributes")
    result: list[Condition] = []
    for n, condition in enumerate(asked):
        path = f"attributes[{n}]"
        attribute = read_name(condition.attribute, limits, f"{path}.attribute")
        position = lookup("UNKNOWN_ATTRIBUTE", f"{path}.attribute", taxonomy.position, attribute)
        if any(position == other.attribute for other in result):
            message = f"attribute {attribute!r} has two conditions; put them into one"
            raise RequestError("DUPLICATE_ATTRIBUTE", message, f"{path}.attribute")
        check_count(
            len(condition.classes) + len(condition.excluded_classes), limits.classes_per_condition, f"{path}.classes"
        )
        classes = _classes(position, condition.classes, taxonomy, limits, f"{path}.classes")
        excluded = _classes(position, condition.excluded_classes, taxonomy, limits, f"{path}.excluded_classes")
        for index in set(classes) & set(excluded):
            message = f"class {taxonomy.class_name(index)[1]!r} is both wanted and excluded"
            raise RequestError("CONTRADICTION", message, f"{path}.excluded_classes")
        if not _WEIGHTS[0] <= condition.weight <= _WEIGHTS[1]:
            message = f"weight {condition.weight:g} is not between {_WEIGHTS[0]:g} and {_WEIGHTS[1]:g}"
            raise RequestError("WEIGHT_INVALID", message, f"{path}.weight")
        predicted = query is not QueryKind.PROTOTYPES
        if not (classes or excluded or predicted):
            message = f"attribute {attribute!r} names no classes, and there is no query to predict them from"
            raise RequestError("QUERY_REQUIRED", message, f"{path}.classes")
        ranks = bool(classes) or (predicted and not excluded)
        result.append(
            Condition(position, classes or None, condition.match, excluded, float(condition.weight), ranks=ranks)
        )
    return tuple(result)


def _changes(asked: Sequence[Manipulation], query: QueryKind, scope: Scope, limits: Limits) -> tuple[Change, ...]:
    check_count(len(asked), limits.manipulations, "manipulations")
    if not asked:
        return ()
    if query is QueryKind.PROTOTYPES:
        message = "a manipulation changes a query: give an image or an item_id"
        raise RequestError("QUERY_REQUIRED", message, "manipulations[0]")
    if not scope.has_global:
        message = "this snapshot's model has no global space to manipulate in; train and ingest one that has"
        raise RequestError("NO_GLOBAL_SPACE", message, "manipulations[0]")
    changes: list[Change] = []
    for n, manipulation in enumerate(asked):
        change = _change(manipulation, scope.taxonomy, limits, f"manipulations[{n}]")
        for earlier in changes:
            _check_agree(earlier, change, scope.taxonomy, f"manipulations[{n}]")
        changes.append(change)
    return tuple(changes)


def _change(manipulation: Manipulation, taxonomy: Taxonomy, limits: Limits, path: str) -> Change:
    name, operation = read_name(manipulation.attribute, limits, f"{path}.attribute"), manipulation.operation
    position = lookup("UNKNOWN_ATTRIBUTE", f"{path}.attribute", taxonomy.position, name)
    if operation is not Operation.REPLACE and not taxonomy.attributes[position].multi_label:
        message = f"an item has one class of {name!r}: REPLACE it instead of {operation.name}"
        raise RequestError("NOT_MULTI_LABEL", message, f"{path}.operation")
    indices: dict[str, int | None] = {}
    needed = {"to_class": operation is not Operation.REMOVE, "from_class": operation is Operation.REMOVE}
    refused = {"to_class": operation is Operation.REMOVE, "from_class": operation is Operation.ADD}
    for part, value in (("to_class", manipulation.to_class), ("from_class", manipulation.from_class)):
        if value is None and needed[part]:
            raise RequestError("CLASS_REQUIRED", f"{operation.name} needs a {part}", f"{path}.{part}")
        if value is not None and refused[part]:
            raise RequestError("CLASS_UNEXPECTED", f"{operation.name} takes no {part}", f"{path}.{part}")
        indices[part] = None if value is None else _class(position, value, taxonomy, limits, f"{path}.{part}")
    if indices["to_class"] == indices["from_class"]:
        raise RequestError("CONTRADICTION", f"{manipulation.to_class!r} would replace itself", f"{path}.to_class")
    # Whatever class of a single-label attribute the query carries goes: it may not be the one that was named.
    gone = indices["from_class"] if taxonomy.attributes[position].multi_label else None
    return Change(position, operation, indices["to_class"], gone)


def _check_agree(first: Change, second: Change, taxonomy: Taxonomy, path: str) -> None:
    """Changes of one attribute must not undo, repeat or outrun each other: their order would matter."""
    if first.attribute != second.attribute:
        return
    name = taxonomy.names[first.attribute]
    whole = any(change.operation is Operation.REPLACE and change.from_class is None for change in (first, second))
    if whole or not taxonomy.attributes[first.attribute].multi_label:
        message = f"attribute {name!r} is replaced as a whole, which goes with no other change of it"
        raise RequestError("CONTRADICTION", message, path)
    come = {change.to_class for change in (first, second)} - {None}
    gone = {change.from_class for change in (first, second)} - {None}
    if first == second or come & gone:
        raise RequestError("CONTRADICTION", f"two changes of attribute {name!r} undo or repeat each other", path)


def _classes(position: int, names: Sequence[str], taxonomy: Taxonomy, limits: Limits, path: str) -> tuple[int, ...]:
    indices: list[int] = []
    for n, name in enumerate(names):
        index = _class(position, name, taxonomy, limits, f"{path}[{n}]")
        if index in indices:
            raise RequestError("DUPLICATE_CLASS", f"class {name!r} is named twice", f"{path}[{n}]")
        indices.append(index)
    return tuple(indices)


def _class(position: int, name: str, taxonomy: Taxonomy, limits: Limits, path: str) -> int:
    read = read_name(name, limits, path)
    return lookup("UNKNOWN_CLASS", path, taxonomy.class_index, taxonomy.names[position], read)


def lookup(reason: str, path: str, function: Callable[..., int], *names: str) -> int:
    """What a taxonomy's function says of names. Raises `RequestError` for those that it does not know."""
    try:
        return function(*names)
    except TaxonomyError as error:
        raise RequestError(reason, str(error), path) from None


def _offset(request: SearchRequest, scope: Scope, tokens: PageTokens) -> int:
    if not request.page_token:
        return 0
    token = tokens.read(request.page_token)
    if token.digest != request.digest:
        message = "the page token is of another request: everything but page_size must stay as it was"
        raise RequestError("PAGE_TOKEN_MISMATCH", message, "page_token")
    assert token.snapshot_id == scope.snapshot_id, "the caller chooses the engine by the token's snapshot"
    return token.offset
