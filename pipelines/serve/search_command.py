"""``duet search``: ask a server, or an index folder, and see the hits with their reasons."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cluster.command import command
from cluster.settings import OneLineParser
from pipelines.errors import DuetError

if TYPE_CHECKING:  # they import torch, which takes seconds; --help and a wrong option do not
    from pipelines.search.request import SearchRequest
    from pipelines.search.result import SearchResult

    from .local import Asked

DEFAULT_TARGET = "127.0.0.1:50051"


def parser() -> argparse.ArgumentParser:
    """The options."""
    result = OneLineParser(
        prog="duet search",
        description="Search a catalogue by a picture, by an item, or by attributes alone.",
        epilog="Examples: duet search --image dress.jpg --attribute collar --change colour=black --filter 'price<50'; "
        "duet search --attribute pattern=tribal,print --page hits.html",
        allow_abbrev=False,
    )
    where = result.add_mutually_exclusive_group()
    where.add_argument("--target", metavar="HOST:PORT", default=DEFAULT_TARGET, help="server (default: %(default)s)")
    where.add_argument("--index", metavar="FOLDER", help="search this index here, without a server")
    result.add_argument("--ca", type=Path, metavar="FILE", help="authorities that vouch for the server; connect by TLS")
    result.add_argument(
        "--certificate", type=Path, metavar="FILE", help="certificate to show to a server that asks for one"
    )
    result.add_argument("--key", type=Path, metavar="FILE", help="private key of --certificate")
    result.add_argument("--token-file", type=Path, metavar="FILE", help="file with the token for the server")
    query = result.add_mutually_exclusive_group()
    query.add_argument("--image", type=Path, metavar="FILE", help="a JPEG, PNG or WebP picture to compare with")
    query.add_argument("--item", metavar="ID", help="an item to compare with")
    result.add_argument(
        "--attribute",
        action="append",
        default=[],
        metavar="A[=C,C]",
        help="rank by an attribute: as the query has it (collar), with classes (pattern=tribal,print: both; "
        "'pattern=tribal|print': either), or leave items with a class out ('pattern!=print'); may be repeated",
    )
    result.add_argument(
        "--change",
        action="append",
        default=[],
        metavar="A=C",
        help="the query, but changed: colour=black, 'details=belt>bow', details+belt, details-belt; may be repeated",
    )
    result.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="F",
        help="condition on metadata: 'price<50', \"brand in (Acme, 'O''Brien') and not sale=true\"; may be repeated",
    )
    result.add_argument("--hits", type=int, default=10, metavar="N", help="how many (default: %(default)s)")
    result.add_argument("--snapshot", default="", metavar="ID", help="another snapshot than the published one")
    result.add_argument("--page", type=Path, metavar="FILE", help="also write a web page with the pictures")
    return result


@command("duet search", DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parser().parse_args(argv)
    with _asked(options) as asked:
        request = _request(options, asked)
        result = _search(asked, request)
        console = Console()
        console.print(_summary(result), highlight=False)
        console.print(_table(result) if result.hits else "nothing passes the filter and the excluded classes")
        if options.page is not None:
            _write_page(options.page, asked, request, result)
            console.print(f"page: {options.page}", highlight=False, markup=False)
    return 0


@contextlib.contextmanager
def _asked(options: argparse.Namespace) -> Iterator[Asked]:
    if options.index is not None:
        if any((options.ca, options.certificate, options.key, options.token_file)):
            raise DuetError("--ca, --certificate, --key and --token-file are for a server; give --target, not --index")
        from .local import Local

        yield Local(options.index, options.snapshot)
        return
    import grpc

    from .client import Client
    from .errors import ServiceError
    from .security.credentials import Credentials

    shown = Credentials.read(
        ca=options.ca, certificate=options.certificate, key=options.key, token_file=options.token_file
    )
    with Client(options.target, credentials=shown) as client:
        try:
            yield client
        except ServiceError as error:
            if not error.reason and error.code is grpc.StatusCode.UNAVAILABLE:  # a server that is there gives a reason
                message = (
                    f"no server answers at {options.target} ({error}); start one with `duet serve`, or give --index, "
                    "or what a server with TLS asks for: --ca, and perhaps --certificate and --key"
                )
                raise DuetError(message) from error
            raise


def _request(options: argparse.Namespace, asked: Asked) -> SearchRequest:
    from pipelines.search.filter_text import parse_filter
    from pipelines.search.filters import AllOf
    from pipelines.search.request import SearchRequest

    from .wishes import read_changes, read_conditions

    filters = tuple(parse_filter(text) for text in options.filter)
    taxonomy = asked.taxonomy(options.snapshot) if options.attribute or options.change else None
    try:
        image = None if options.image is None else options.image.read_bytes()
    except OSError as error:
        raise DuetError(f"--image {options.image}: {error.strerror}") from error
    return SearchRequest(
        image=image,
        item_id=options.item,
        attributes=read_conditions(options.attribute, taxonomy) if taxonomy else (),
        manipulations=read_changes(options.change, taxonomy) if taxonomy else (),
        filter=filters[0] if len(filters) == 1 else AllOf(filters) if filters else None,
        page_size=options.hits,
        snapshot=options.snapshot,
    )


def _search(asked: Asked, request: SearchRequest) -> SearchResult:
    """As many hits as were asked for, over several pages if need be, as one result."""
    result = asked.search(request)
    while result.next_page_token and len(result.hits) < request.page_size:
        rest = request.page_size - len(result.hits)
        page = asked.search(replace(request, page_token=result.next_page_token, page_size=rest))
        timings = {stage: seconds + page.timings[stage] for stage, seconds in result.timings.items()}
        result = replace(page, hits=(*result.hits, *page.hits), timings=timings)
    return result


def _summary(result: SearchResult) -> str:
    milliseconds = sum(result.timings.values()) * 1000
    return (
        f"{len(result.hits)} of {result.total_candidates:,} candidates, snapshot {result.snapshot_id}, "
        f"{'exact' if result.exact else 'approximate'}, {milliseconds:.0f} ms"
    )


def _table(result: SearchResult) -> Table:
    from .reasons import metadata_text, reason

    tiers = any(hit.tier for hit in result.hits)
    table = Table(show_lines=True)
    for name, justify in (("#", "right"), ("item", "left"), ("tier", "right"), ("score", "right")):
        if name != "tier" or tiers:
            table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    table.add_column("why: similarity, matched classes", overflow="fold")
    table.add_column("metadata", overflow="fold")
    for hit in result.hits:
        cells = [str(hit.rank), escape(hit.item_id), *([str(hit.tier)] if tiers else []), f"{hit.score:.3f}"]
        table.add_row(*cells, escape(reason(hit)), escape(metadata_text(hit.metadata)))
    return table


def _write_page(path: Path, asked: Asked, request: SearchRequest, result: SearchResult) -> None:
    from .page import build_page

    items = {hit.item_id: asked.item(hit.item_id, result.snapshot_id) for hit in result.hits}
    query = None if request.item_id is None else asked.item(request.item_id, result.snapshot_id)
    try:
        path.write_text(build_page(request, result, items, query), encoding="utf-8")
    except OSError as error:
        raise DuetError(f"--page {path}: {error.strerror}") from error


if __name__ == "__main__":
    raise SystemExit(main())
