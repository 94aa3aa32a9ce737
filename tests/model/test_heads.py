from __future__ import annotations

import math

import pytest
import torch

from model.heads import KINDS, CosineHead, class_head


def test_cosine_head_by_hand() -> None:
    head = CosineHead(2, 2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[3.0, 0.0], [-2.0, 2.0]]))
        head.scale.fill_(4.0)
        head.bias.copy_(torch.tensor([0.5, -1.0]))
    logits = head(torch.tensor([[5.0, 5.0], [0.0, -7.0]]))
    root = math.sqrt(0.5)
    torch.testing.assert_close(logits, torch.tensor([[4 * root + 0.5, -1.0], [0.5, -4 * root - 1.0]]))


def test_cosine_head_reads_what_is_searched() -> None:
    """Embeddings are L2-normalised in the index: their norm says nothing here either, and an empty one is no NaN."""
    head, embeddings = CosineHead(8, 3), torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(head(embeddings), head(embeddings * 40))
    zero = torch.zeros(1, 8, requires_grad=True)
    logits = head(zero)
    torch.testing.assert_close(logits[0], head.bias)
    logits.sum().backward()
    assert zero.grad is not None and zero.grad.isfinite().all()


def test_cosine_head_gradient_by_finite_differences() -> None:
    head = CosineHead(5, 3).double()
    embeddings = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(head, (embeddings,))


@pytest.mark.parametrize("kind", KINDS)
def test_heads_drop_only_in_training(kind: str) -> None:
    torch.manual_seed(0)
    head, embeddings = class_head(kind, 16, 8, 3, 0.5), torch.randn(6, 16)
    assert head(embeddings).shape == (6, 3)
    assert not torch.equal(head(embeddings), head(embeddings))
    head.eval()
    assert torch.equal(head(embeddings), head(embeddings))
