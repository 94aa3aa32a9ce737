"""Conditions and changes as a person types them, read with the taxonomy's help.

==========================  =========================================================
``--attribute``
``collar``                  the collar of the query
``pattern=tribal,print``    tribal and print: items that have both come first
``'pattern=tribal|print'``  tribal or print
``'pattern!=print'``        no print, whatever else
``--change``
``colour=black``            black in the place of whatever colour the query has
``'details=belt>bow'``      a bow in the place of the belt
``details+belt``            a belt, too
``details-belt``            no belt any more
==========================  =========================================================

Names may hold any of these signs themselves (``collar-v-neck`` takes ``v-neck`` away): the taxonomy decides.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace

from model.manipulation import Operation
from model.taxonomy import Taxonomy
from pipelines.errors import RequestError
from pipelines.search.request import AttributeCondition, Manipulation, Match


def read_conditions(texts: Iterable[str], taxonomy: Taxonomy) -> tuple[AttributeCondition, ...]:
    """One condition per attribute; wanted and excluded classes of several texts go together.

    Raises:
        RequestError: an attribute that there is none of, or texts of one that no condition says together.
    """
    conditions: dict[str, AttributeCondition] = {}
    alone = set()
    for text in texts:
        attribute, sign, names = _split(text, ("!=", "="), taxonomy, "--attribute")
        condition = conditions.get(attribute, AttributeCondition(attribute))
        known = taxonomy.attribute(attribute).classes
        if sign == "!=":
            condition = replace(condition, excluded_classes=condition.excluded_classes + _list(names, ",", known))
        elif sign == "=":
            wanted, match = _list(names, ",", known), Match.ALL
            if len(wanted) == 1 and wanted[0] not in known and "|" in names:
                wanted, match = _list(names, "|", known), Match.ANY
            if condition.classes and Match.ANY in (match, condition.match):
                message = f"--attribute {text!r}: {attribute} has classes already, and | with others says nothing clear"
                raise RequestError("CONDITION_SYNTAX", message)
            condition = replace(condition, classes=condition.classes + wanted, match=match)
        else:
            alone.add(attribute)
        conditions[attribute] = condition
    for attribute in alone:
        if not conditions[attribute].classes and conditions[attribute].excluded_classes:
            message = (
                f"--attribute {attribute} ranks by the query's own classes and {attribute}!=… only excludes: name the "
                f"classes that are wanted, {attribute}=CLASS, or leave one of them out"
            )
            raise RequestError("CONDITION_SYNTAX", message)
    return tuple(conditions.values())


def read_changes(texts: Iterable[str], taxonomy: Taxonomy) -> tuple[Manipulation, ...]:
    """One manipulation per text. Raises `RequestError`."""
    changes = []
    for text in texts:
        attribute, sign, name = _split(text, ("=", "+", "-"), taxonomy, "--change")
        if not sign:
            message = f"--change {text!r} does not say what changes: {text}=CLASS, {text}+CLASS or {text}-CLASS"
            raise RequestError("CHANGE_SYNTAX", message)
        if sign == "+":
            changes.append(Manipulation(attribute, Operation.ADD, to_class=name))
        elif sign == "-":
            changes.append(Manipulation(attribute, Operation.REMOVE, from_class=name))
        else:
            gone, arrow, comes = ("", "", name) if _knows(taxonomy, attribute, name) else name.partition(">")
            gone, comes = (gone.strip(), comes.strip()) if arrow else ("", name)
            changes.append(Manipulation(attribute, Operation.REPLACE, comes, gone or None))
    return tuple(changes)


def _split(text: str, signs: Sequence[str], taxonomy: Taxonomy, option: str) -> tuple[str, str, str]:
    """Attribute, sign and the rest; where several places would do, the one behind which a known class stands."""
    text = unicodedata.normalize("NFC", text)  # as the taxonomy's names are
    if text in taxonomy.names:
        return text, "", ""
    found = []
    for start in range(1, len(text)):
        sign = next((sign for sign in signs if text.startswith(sign, start)), "")
        attribute, rest = text[:start].strip(), text[start + len(sign) :].strip()
        if sign and attribute in taxonomy.names:
            found.append((attribute, sign, rest))
    if not found:
        known = ", ".join(taxonomy.names)
        raise RequestError("UNKNOWN_ATTRIBUTE", f"{option} {text!r} does not begin with an attribute; known: {known}")
    for attribute, sign, rest in found:
        if _knows(taxonomy, attribute, rest) or _knows(taxonomy, attribute, rest.rpartition(">")[2].strip()):
            return attribute, sign, rest
    return found[-1]


def _knows(taxonomy: Taxonomy, attribute: str, name: str) -> bool:
    return name in taxonomy.attribute(attribute).classes


def _list(names: str, separator: str, known: Sequence[str]) -> tuple[str, ...]:
    """Names between separators; a known class that itself holds one stays whole."""
    if names in known:
        return (names,)
    return tuple(part.strip() for part in names.split(separator) if part.strip())
