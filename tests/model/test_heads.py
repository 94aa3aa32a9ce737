from __future__ import annotations

import math

import pytest
import torch

from model.heads import KINDS, CentreHead, CosineHead, class_head, softmax_logits
from model.taxonomy import Attribute, Taxonomy


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


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_by_finite_differences(kind: str) -> None:
    """Of the embeddings and of every parameter, which `gradcheck` moves where it lies."""
    torch.manual_seed(0)
    head = class_head(kind, 5, 4, 3, 0.0).double()
    embeddings = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *_: head(embeddings), (embeddings, *head.parameters()))


def test_softmax_logits_gradient_by_finite_differences() -> None:
    """Of a single-label attribute, of a multi-label one, and of one with a single class."""
    taxonomy = Taxonomy(
        (Attribute("colour", ("red", "green", "blue")), Attribute("trim", ("a", "b"), True), Attribute("all", ("x",)))
    )
    torch.manual_seed(0)
    scores = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: softmax_logits(x, taxonomy), (scores,))


def test_no_gradient_passes_a_centre_head() -> None:
    """Its centres are set, and no loss is of its logits: what it reads is the embedding and nothing comes back."""
    head = CentreHead(Taxonomy((Attribute("colour", ("red", "green")),)), 2)
    head.centres.copy_(torch.eye(2))
    embeddings = torch.randn(2, 1, 2, requires_grad=True)
    assert not head(embeddings).requires_grad and not list(head.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_heads_drop_only_in_training(kind: str) -> None:
    torch.manual_seed(0)
    head, embeddings = class_head(kind, 16, 8, 3, 0.5), torch.randn(6, 16)
    assert head(embeddings).shape == (6, 3)
    assert not torch.equal(head(embeddings), head(embeddings))
    head.eval()
    assert torch.equal(head(embeddings), head(embeddings))


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16], ids=str)
def test_centres_are_compared_in_full_precision(precision: torch.dtype) -> None:
    """The second vector is its class without a doubt: rounded to 1, P would have an infinite logit."""
    head = CentreHead(Taxonomy((Attribute("colour", ("red", "green", "blue")),)), 3)
    head.centres.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.999, 0.04, 0.0], [-1.0, 0.0, 0.0]]))
    embeddings = torch.tensor([[[1.0, 0.019, 0.0]], [[-1.0, 0.0, 0.0]]])
    exact = head(embeddings)
    assert exact.isfinite().all()
    with torch.autocast("cpu", precision):
        assert torch.equal(head(embeddings), exact)


def test_a_class_without_a_centre_is_never_the_nearest() -> None:
    """Its cosine would be 0, and every other is negative here."""
    head = CentreHead(Taxonomy((Attribute("colour", ("red", "green", "unseen")), Attribute("cut", ("a", "b")))), 4)
    head.centres[:2] = torch.eye(4)[:2]
    vector = torch.tensor([-0.2, -0.1, 0.9, 0.3])
    logits = head(torch.stack([vector, vector])[None])[0]
    assert logits.isfinite().all()
    probability = torch.sigmoid(logits)
    cosines = vector[:2] / vector.norm()
    expected = torch.softmax(cosines / 0.05, 0)
    torch.testing.assert_close(probability[:2], expected)
    assert 0 < probability[2] <= 1e-5
    torch.testing.assert_close(probability[3:], torch.tensor([0.5, 0.5]))  # of an attribute without any centre


def test_centres_at_a_right_angle_are_no_missing_ones() -> None:
    head = CentreHead(Taxonomy((Attribute("colour", ("red", "green")),)), 2)
    head.centres.copy_(torch.eye(2) * 7)
    torch.testing.assert_close(
        torch.sigmoid(head(torch.tensor([[[0.0, 2.0]]])))[0, 1],
        torch.tensor(1 / (1 + math.exp(-20))),
        atol=2e-6,
        rtol=0,
    )
