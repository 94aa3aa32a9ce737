from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from model.manipulation import HeadConfig, build_head
from model.prototypes import Prototypes
from pipelines.train.head import contrastive, soft_triplets, train_head
from tests.model.networks import TAXONOMY

WIDTH = 16
KINDS = [
    HeadConfig(),
    HeadConfig(loss="soft_triplet"),
    HeadConfig(memory=False, loss="soft_triplet"),
    HeadConfig("fusion", loss="soft_triplet"),
]


def catalogue(items: int = 300) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Prototypes]:
    """Items whose attribute embeddings say their class, with noise."""
    generator = torch.Generator().manual_seed(0)
    means = F.normalize(torch.randn(TAXONOMY.class_count, WIDTH, generator=generator), dim=-1)
    carried = torch.zeros(items, TAXONOMY.class_count, dtype=torch.bool)
    vectors = []
    for n in range(len(TAXONOMY.attributes)):
        span = TAXONOMY.span(n)
        chosen = torch.randint(span.start, span.stop, (items,), generator=generator)
        carried[torch.arange(items), chosen] = True
        vectors.append(means[chosen] + 0.3 * torch.randn(items, WIDTH, generator=generator))
    embeddings = F.normalize(torch.stack(vectors, 1), dim=-1)
    known = torch.ones(items, len(TAXONOMY.attributes), dtype=torch.bool)
    return embeddings, carried, known, Prototypes(means, None, carried.sum(0).float())


def test_losses_by_hand() -> None:
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    candidates = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    same = torch.tensor([[True, False, True], [True, True, True]])
    generator = torch.Generator().manual_seed(0)
    # The second has no negative; of the first, the only one is the second candidate.
    far = math.hypot(0.4, 0.8)
    expected = (1 / (1 + math.exp(3 * far))) ** 2
    assert float(soft_triplets(queries, candidates, same, generator)) == pytest.approx(expected)
    first = -20.0 + math.log(math.exp(20) + math.exp(12))  # cosines 1 and 0.6 over a temperature of 0.05
    assert float(contrastive(queries, candidates, same, generator)) == pytest.approx(first / 2, abs=1e-6)


@pytest.mark.parametrize("config", KINDS, ids=lambda config: f"{config.kind}-{config.memory}-{config.loss}")
def test_training_brings_changed_queries_to_their_targets(config: HeadConfig) -> None:
    embeddings, carried, known, prototypes = catalogue()
    torch.manual_seed(0)
    head = build_head(config, TAXONOMY, WIDTH, 12)
    if config.kind == "fusion":  # one space: what an item has of all attributes
        embeddings = F.normalize(embeddings.mean(1, keepdim=True), dim=-1).expand_as(embeddings)
    head.start(prototypes)
    before = head.memory.detach().clone()
    losses = train_head(head, embeddings, carried, known, steps=150, batch=64, learning_rate=3e-3, seed=0)
    assert sum(losses[-20:]) < 0.9 * sum(losses[:20])
    assert torch.equal(head.memory, before) is not config.memory


def test_a_head_without_anything_to_train_stays_as_it_is() -> None:
    embeddings, carried, known, prototypes = catalogue(20)
    head = build_head(HeadConfig("concatenated", memory=False), TAXONOMY, WIDTH, 12)
    head.start(prototypes)
    assert train_head(head, embeddings, carried, known, steps=5, batch=8, learning_rate=1e-2, seed=0) == []
