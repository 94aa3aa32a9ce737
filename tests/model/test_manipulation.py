from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from model.errors import TaxonomyError
from model.manipulation import (
    Change,
    GlobalHead,
    HeadConfig,
    ManipulationHead,
    Operation,
    build_head,
    target_classes,
)
from model.prototypes import Prototypes

from .networks import TAXONOMY


def carried(*classes: int) -> torch.Tensor:
    result = torch.zeros(TAXONOMY.class_count, dtype=torch.bool)
    result[list(classes)] = True
    return result


def head(seed: int = 0) -> GlobalHead:
    torch.manual_seed(seed)
    result = GlobalHead(HeadConfig(), TAXONOMY, 16, 12)
    means = F.normalize(torch.randn(TAXONOMY.class_count, 16), dim=-1)
    result.start(Prototypes(means, None, torch.ones(TAXONOMY.class_count)))
    return result


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (Change(0, Operation.REPLACE, to_class=2), (2, 3, 4, 7)),
        (Change(1, Operation.REPLACE, to_class=5, from_class=3), (0, 4, 5, 7)),
        (Change(1, Operation.REPLACE, to_class=5), (0, 5, 7)),
        (Change(1, Operation.ADD, to_class=6), (0, 3, 4, 6, 7)),
        (Change(1, Operation.REMOVE, from_class=3), (0, 4, 7)),
    ],
)
def test_target_classes(change: Change, after: tuple[int, ...]) -> None:
    before = carried(0, 3, 4, 7)
    assert torch.equal(target_classes(before, [change], TAXONOMY), carried(*after))
    assert torch.equal(before, carried(0, 3, 4, 7))


def test_change_puts_the_memory_in() -> None:
    module, vectors = head(), F.normalize(torch.randn(3, 16), dim=-1)
    both = [Change(0, Operation.REPLACE, to_class=1), Change(1, Operation.ADD, to_class=5)]
    changed = module.change(vectors, carried(0, 3, 7), both)
    torch.testing.assert_close(changed[0], F.normalize(module.memory[1], dim=0))
    torch.testing.assert_close(changed[1], F.normalize(module.memory[3] + module.memory[5], dim=0))
    assert torch.equal(changed[2], vectors[2])


def test_removing_the_last_class_takes_its_direction_out() -> None:
    module, vectors = head(), F.normalize(torch.randn(3, 16), dim=-1)
    changed = module.change(vectors, carried(0, 3), [Change(1, Operation.REMOVE, from_class=3)])
    assert abs(float((changed[1] @ F.normalize(module.memory[3], dim=0)).detach())) < 1e-6
    torch.testing.assert_close(changed[1].norm(), torch.tensor(1.0))


def test_changes_that_change_nothing_keep_the_vector() -> None:
    module, vectors = head(), F.normalize(torch.randn(3, 16), dim=-1)
    nothing = [Change(0, Operation.REPLACE, to_class=0), Change(1, Operation.ADD, to_class=3)]
    torch.testing.assert_close(module.change(vectors, carried(0, 3), nothing), vectors)


def test_removing_what_is_not_predicted_still_takes_its_direction_out() -> None:
    module, vectors = head(), F.normalize(torch.randn(3, 16), dim=-1)
    changed = module.change(vectors, carried(0, 3, 4), [Change(1, Operation.REMOVE, from_class=5)])
    assert abs(float((changed[1] @ F.normalize(module.memory[5], dim=0)).detach())) < 1e-6
    assert not torch.allclose(changed[1], vectors[1])


@pytest.mark.parametrize("has", [(0, 3, 4), (0, 7)])
def test_several_removals_take_all_their_directions_out_in_any_order(has: tuple[int, ...]) -> None:
    module, vectors = head(), F.normalize(torch.randn(3, 16), dim=-1)
    away = [Change(1, Operation.REMOVE, from_class=number) for number in (3, 4)]
    changed = module.change(vectors, carried(*has), away)
    assert (changed[1] @ F.normalize(module.memory[3:5], dim=1).T).abs().max() < 1e-6
    torch.testing.assert_close(changed[1].norm(), torch.tensor(1.0))
    assert torch.equal(changed, module.change(vectors, carried(*has), away[::-1]))


def test_removing_classes_of_one_direction_or_all_that_there_is() -> None:
    module, vectors = head(), F.normalize(torch.randn(3, 16), dim=-1)
    away = [Change(1, Operation.REMOVE, from_class=number) for number in (3, 4)]
    with torch.no_grad():
        module.memory[4] = 2 * module.memory[3]
    one = module.change(vectors, carried(0, 3), away[:1])
    torch.testing.assert_close(module.change(vectors, carried(0, 3, 4), away), one)
    vectors[1] = F.normalize(module.memory[3].detach(), dim=0)
    assert module.change(vectors, carried(0, 3, 4), away)[1].tolist() == [0.0] * 16


def test_batch_agrees_with_one_by_one() -> None:
    module, generator = head(), torch.Generator().manual_seed(0)
    vectors = F.normalize(torch.randn(4, 3, 16, generator=generator), dim=-1)
    sets = torch.stack([carried(0, 3, 7), carried(1, 4, 5, 8), carried(2, 6, 7), carried(0, 3, 8)])
    change = [Change(0, Operation.REPLACE, to_class=2), Change(1, Operation.ADD, to_class=4)]
    targets = torch.stack([target_classes(row, change, TAXONOMY) for row in sets])
    spans = [TAXONOMY.span(n) for n in range(3)]
    differs = torch.stack([(targets != sets)[:, span].any(1) for span in spans], 1)
    assert differs.any(1).all() and not differs[:, 1].all()
    changed = module.change_batch(vectors, targets, differs)
    for b in range(4):
        torch.testing.assert_close(changed[b], module.change(vectors[b], sets[b], change))


def test_global_embedding() -> None:
    module, vectors = head(), F.normalize(torch.randn(5, 3, 16), dim=-1)
    merged = module(vectors)
    torch.testing.assert_close(merged.norm(dim=-1), torch.ones(5))
    flat = torch.cat([module.weight[n] * vectors[:, n] for n in range(3)], 1)
    torch.testing.assert_close(merged, F.normalize(flat @ module.project.weight.T, dim=-1))


def test_incomplete_changes() -> None:
    with pytest.raises(TaxonomyError, match="from_class"):
        Change(0, Operation.REMOVE, to_class=1)
    with pytest.raises(TaxonomyError, match="to_class"):
        Change(0, Operation.ADD)


def other_head(kind: str, **settings: Any) -> ManipulationHead:
    torch.manual_seed(0)
    result = build_head(HeadConfig(kind, **settings), TAXONOMY, 16, 12)  # type: ignore[arg-type]
    means = F.normalize(torch.randn(TAXONOMY.class_count, 16), dim=-1)
    result.start(Prototypes(means, None, torch.ones(TAXONOMY.class_count)))
    return result


def test_concatenated_head_is_the_vectors_themselves() -> None:
    module, vectors = other_head("concatenated", memory=False), F.normalize(torch.randn(2, 3, 16), dim=-1)
    assert module.width == 48 and not [p for p in module.parameters() if p.requires_grad]
    torch.testing.assert_close(module(vectors), vectors.flatten(1) / 3**0.5)


def test_fusion_by_hand() -> None:
    module, x = other_head("fusion"), F.normalize(torch.randn(16), dim=0)
    changed = module.change(x.expand(3, 16), carried(0, 3, 7), [Change(0, Operation.REPLACE, to_class=2)])
    told = torch.cat([x, F.normalize(module.memory[2], dim=0)])
    expected = F.normalize(x + module.get_submodule("fuse")(told), dim=0)
    for row in changed:
        torch.testing.assert_close(row, expected)
    torch.testing.assert_close(module(changed[None])[0], expected)


def test_fusion_is_told_what_goes_where_nothing_comes() -> None:
    module, x = other_head("fusion"), F.normalize(torch.randn(16), dim=0)
    changed = module.change(x.expand(3, 16), carried(0, 3), [Change(1, Operation.REMOVE, from_class=3)])
    told = torch.cat([x, -F.normalize(module.memory[3], dim=0)])
    torch.testing.assert_close(changed[0], F.normalize(x + module.get_submodule("fuse")(told), dim=0))


@pytest.mark.parametrize("kind", ["global", "concatenated", "fusion"])
def test_a_batch_is_its_queries(kind: str) -> None:
    module = other_head(kind)
    vectors = F.normalize(torch.randn(1 if kind == "fusion" else 3, 3, 16), dim=-1).expand(3, 3, 16)
    before = torch.stack([carried(0, 3, 7), carried(1, 4, 8), carried(1, 4, 5, 8)])
    after = torch.stack([carried(2, 3, 7), carried(1, 4, 5, 8), carried(0, 4, 7)])
    changed = torch.tensor([[True, False, False], [False, True, False], [True, True, True]])
    batch = module.change_batch(vectors, after, changed)
    several = [
        Change(0, Operation.REPLACE, to_class=0, from_class=1),
        Change(1, Operation.REMOVE, from_class=5),
        Change(2, Operation.REPLACE, to_class=7, from_class=8),
    ]
    changes = [[Change(0, Operation.REPLACE, to_class=2)], [Change(1, Operation.ADD, to_class=5)], several]
    one_by_one = [module.change(*query) for query in zip(vectors, before, changes, strict=True)]
    torch.testing.assert_close(batch, torch.stack(one_by_one))
