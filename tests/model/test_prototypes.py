from __future__ import annotations

import torch
from torch.nn import functional as F

from model.prototypes import MovingPrototypes


def test_moving_average_by_hand() -> None:
    prototypes = MovingPrototypes(3, 2, momentum=0.5)
    prototypes.update(*prototypes.batch_sums(torch.tensor([[3.0, 0.0], [0.0, 5.0]]), torch.tensor([0, 0])))
    torch.testing.assert_close(prototypes.average[0], torch.tensor([0.5, 0.5]))  # of the normalised vectors
    prototypes.update(*prototypes.batch_sums(torch.tensor([[1.0, 0.0]]), torch.tensor([0])))
    torch.testing.assert_close(prototypes.average[0], torch.tensor([0.75, 0.25]))
    assert prototypes.seen.tolist() == [True, False, False]
    torch.testing.assert_close(prototypes()[0].norm(), torch.tensor(1.0))
    assert prototypes()[1:].abs().sum() == 0


def test_sharding_does_not_matter() -> None:
    generator = torch.Generator().manual_seed(0)
    whole, sharded = MovingPrototypes(4, 8), MovingPrototypes(4, 8)
    for _ in range(5):
        vectors = torch.randn(12, 8, generator=generator)
        classes = torch.randint(4, (12,), generator=generator)
        whole.update(*whole.batch_sums(vectors, classes))
        parts = [sharded.batch_sums(vectors[part], classes[part]) for part in (slice(0, 3), slice(3, 5), slice(5, 12))]
        sharded.update(sum(p[0] for p in parts), sum(p[1] for p in parts))  # type: ignore[arg-type]
    torch.testing.assert_close(whole.average, sharded.average)


def test_stays_in_float32_and_out_of_the_graph() -> None:
    prototypes = MovingPrototypes(2, 4)
    vectors = torch.randn(3, 4, dtype=torch.bfloat16, requires_grad=True)
    prototypes.update(*prototypes.batch_sums(vectors, torch.tensor([0, 1, 1])))
    assert prototypes.average.dtype == torch.float32 and not prototypes.average.requires_grad
    expected = F.normalize(vectors.detach().float(), dim=-1)[0]
    torch.testing.assert_close(prototypes.average[0], expected)
