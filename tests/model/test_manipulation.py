from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from model.errors import TaxonomyError
from model.manipulation import Change, GlobalHead, HeadConfig, Operation, target_classes
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
