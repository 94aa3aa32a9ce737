from __future__ import annotations

import pytest

from model.errors import TaxonomyError
from model.taxonomy import Attribute, Taxonomy

from .networks import TAXONOMY


def test_class_indices_and_names_are_inverse() -> None:
    seen = []
    for attribute in TAXONOMY.attributes:
        for name in attribute.classes:
            index = TAXONOMY.class_index(attribute.name, name)
            assert TAXONOMY.class_name(index) == (attribute.name, name)
            seen.append(index)
    assert seen == list(range(TAXONOMY.class_count))


def test_encode() -> None:
    assert TAXONOMY.encode({"collar": ["polo"], "details / trim": ["pocket", "belt", "belt"], "Größe": []}) == (
        [2, 3, 6],
        [0, 1],
    )
    assert TAXONOMY.encode({}) == ([], [])


@pytest.mark.parametrize("labels", [{"collar": ["turtle"]}])
def test_unknown_class_lists_the_known(labels: dict[str, list[str]]) -> None:
    with pytest.raises(TaxonomyError, match="round, v-neck, polo"):
        TAXONOMY.encode(labels)
    with pytest.raises(TaxonomyError, match="known: collar"):
        TAXONOMY.position("sleeve")


def test_round_trip_and_digest() -> None:
    again = Taxonomy.from_json(TAXONOMY.to_json())
    assert again == TAXONOMY and again.digest == TAXONOMY.digest
    reordered = Taxonomy(TAXONOMY.attributes[::-1])
    assert reordered.digest != TAXONOMY.digest


@pytest.mark.parametrize("name", ["", " ", "a\x00b", "a\nb", "x" * 257])
def test_impossible_names(name: str) -> None:
    with pytest.raises(TaxonomyError):
        Attribute(name, ("a",))
    with pytest.raises(TaxonomyError):
        Attribute("a", ("b", name))


def test_contradictions() -> None:
    with pytest.raises(TaxonomyError, match="no classes"):
        Attribute("a", ())
    with pytest.raises(TaxonomyError, match="twice"):
        Attribute("a", ("b", "b"))
    with pytest.raises(TaxonomyError, match="twice"):
        Taxonomy((Attribute("a", ("b",)), Attribute("a", ("c",))))
    with pytest.raises(TaxonomyError, match="at least one"):
        Taxonomy(())
    with pytest.raises(TaxonomyError, match="attributes"):
        Taxonomy.from_json({"classes": []})
