"""Filters as a person types them: ``price<50 and not (brand='Acme' or size in (38, 40))`` -> the typed tree.

For command lines; a service takes the tree itself. Values: numbers, ``true``, ``false``, ``'text'`` or ``"text"``
(a quote within is doubled), and single words, which are text. Column names with other characters than letters,
digits, ``_``, ``.`` and ``-`` go in backquotes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pipelines.errors import RequestError

from .filters import AllOf, AnyOf, Comparison, Filter, Membership, Negated, Operator, Scalar

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.-]))
      | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
      | (?P<name>`[^`]+`)
      | (?P<word>[^\W_][\w.:+-]*|_[\w.:+-]*)
      | (?P<symbol><=|>=|!=|==|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE,
)
_DEEPEST = 50


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


def parse_filter(text: str) -> Filter:
    """Read a filter. Raises `RequestError` (``FILTER_SYNTAX``) that points at the place."""
    return _Parser(text).whole()


class _Parser:
    """Recursive descent: or -> and -> not -> comparison | membership | parentheses."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth = text, 0, 0
        self.tokens: list[_Token] = []
        position, end = 0, len(text.rstrip())
        while position < end:
            found = _TOKEN.match(text, position)
            if found is None or found.lastgroup is None:
                raise self._fault("this cannot be read", position)
            self.tokens.append(_Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup)))
            position = found.end()

    def whole(self) -> Filter:
        tree = self._either()
        if self.at < len(self.tokens):
            raise self._fault("expected `and`, `or` or the end")
        return tree

    def _either(self) -> Filter:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _both(self) -> Filter:
        parts = [self._single()]
        while self._take("and"):
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _single(self) -> Filter:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self._fault("the filter is nested too deeply")
        try:
            if self._take("not"):
                return Negated(self._single())
            if self._take("("):
                inner = self._either()
                self._expect(")")
                return inner
            return self._condition()
        finally:
            self.depth -= 1

    def _condition(self) -> Filter:
        token = self._next("a column")
        if token.kind not in ("word", "name"):
            raise self._fault("expected a column", token.start)
        column = token.text.strip("`")
        if self._take("in"):
            self._expect("(")
            values = [self._value()]
            while self._take(","):
                values.append(self._value())
            self._expect(")")
            return Membership(column, tuple(values))
        sign = self._next("an operator")
        try:
            operator = Operator("=" if sign.text == "==" else sign.text)
        except ValueError:
            known = ", ".join(Operator)
            raise self._fault(f"expected `in` or one of {known}", sign.start) from None
        return Comparison(column, operator, self._value())

    def _value(self) -> Scalar:
        token = self._next("a value")
        if token.kind == "number":
            return int(token.text) if re.fullmatch(r"[-+]?\d+", token.text) else float(token.text)
        if token.kind == "text":
            quote = token.text[0]
            return token.text[1:-1].replace(quote * 2, quote)
        if token.kind == "word":
            lowered = token.text.lower()
            return lowered == "true" if lowered in ("true", "false") else token.text
        raise self._fault("expected a value", token.start)

    def _take(self, text: str) -> bool:
        if self.at < len(self.tokens):
            token = self.tokens[self.at]
            if token.kind in ("word", "symbol") and token.text.lower() == text:
                self.at += 1
                return True
        return False

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._fault(f"expected `{text}`")

    def _next(self, wanted: str) -> _Token:
        if self.at >= len(self.tokens):
            raise self._fault(f"expected {wanted}")
        self.at += 1
        return self.tokens[self.at - 1]

    def _fault(self, message: str, position: int | None = None) -> RequestError:
        if position is None:
            position = self.tokens[self.at].start if self.at < len(self.tokens) else len(self.text)
        place = f"at character {position + 1}" if position < len(self.text) else "at the end"
        return RequestError("FILTER_SYNTAX", f"{message} {place} of the filter {self.text[:200]!r}", "filter")
