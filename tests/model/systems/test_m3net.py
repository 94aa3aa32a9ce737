from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from model.duet import encode, predicted_classes
from model.encoder import ClassPairs, EncoderConfig
from model.errors import EncoderError
from model.preparation import normalize
from model.systems import build_encoder
from model.systems.m3net import M3Net, pool_pairs
from tests.model.networks import TAXONOMY, network, pictures

from .literal_m3net import literal_attribute, literal_class, literal_class_attention


def every_pair(count: int) -> ClassPairs:
    image, class_index = torch.ones(count, TAXONOMY.class_count).nonzero(as_tuple=True)
    shuffled = torch.randperm(len(image), generator=torch.Generator().manual_seed(1))
    return ClassPairs(image[shuffled], class_index[shuffled])


@pytest.mark.parametrize("system", ["m3net", "m3net_a", "m3net_c"])
def test_fused_agrees_with_literal(system: str) -> None:
    net, images = network(system), pictures(3)
    with torch.no_grad():
        output = net.attributes(images)
        for b, image in enumerate(images):
            for n in range(len(TAXONOMY.attributes)):
                _, embedding, logits = literal_attribute(net, image, n)
                torch.testing.assert_close(output.embeddings[b, n], embedding, atol=1e-4, rtol=1e-4)
                torch.testing.assert_close(output.logits[b, TAXONOMY.span(n)], logits, atol=1e-4, rtol=1e-4)
        if system == "m3net_a":
            assert not net.has_classes
            return
        pairs = every_pair(len(images))
        fused = net.classes(output, pairs)
        for image, class_index, vector in zip(pairs.image, pairs.class_index, fused, strict=True):
            n = TAXONOMY.attribute_of_class[int(class_index)]
            literal = literal_class(net, images[image], n, int(class_index) - TAXONOMY.offsets[n])
            torch.testing.assert_close(vector, literal, atol=1e-4, rtol=1e-4)


def test_duet_of_one_is_duet_of_many() -> None:
    net, images = network(), pictures(5)
    many = encode(net, images)
    for b in range(5):
        one = encode(net, images[b : b + 1])
        rows = many.pairs.image == b
        assert torch.equal(one.pairs.class_index, many.pairs.class_index[rows])
        torch.testing.assert_close(one.attribute_embeddings[0], many.attribute_embeddings[b], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(one.class_embeddings, many.class_embeddings[rows], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(many.attribute_embeddings.norm(dim=-1), torch.ones(5, 3))


def test_classes_asked_for_come_besides_the_predicted_ones() -> None:
    net, images = network(), pictures(3)
    duet, every = encode(net, images), encode(net, images, also=torch.ones(3, net.taxonomy.class_count, dtype=bool))
    assert torch.equal(every.predicted, duet.predicted)
    assert duet.predicted.nonzero().tolist() == torch.stack([duet.pairs.image, duet.pairs.class_index], 1).tolist()
    assert len(every.pairs.image) == 3 * net.taxonomy.class_count
    torch.testing.assert_close(every.class_embeddings[duet.predicted.flatten()], duet.class_embeddings)


@pytest.mark.parametrize("size", [(32, 32), (80, 60), (17, 41)])
def test_any_input_size(size: tuple[int, int]) -> None:
    duet = encode(network(), pictures(2, *size))
    assert duet.attribute_embeddings.shape == (2, 3, 256)


def test_class_attention_is_not_uniform_at_initialisation() -> None:
    # φ_n is about 1/S of ψ; without its scaling by S the attention of a fresh network stays at 1/S (trap a).
    torch.manual_seed(0)
    net = M3Net(EncoderConfig(backbone="resnet18"), TAXONOMY).eval()
    psi = net.backbone(pictures(2, 96, 96).float() / 64 - 2).flatten(2).transpose(1, 2)
    alpha = net.attribute_spatial(psi)
    deviation = (net.class_spatial(psi, alpha) * alpha.shape[-1] - 1).std()
    squeezed = (net.class_spatial(psi, alpha / alpha.shape[-1]) * alpha.shape[-1] - 1).std()
    assert deviation > 0.01
    assert deviation > 10 * squeezed


def test_attention_sums_to_one() -> None:
    net, images = network(), pictures(2)
    psi = net.backbone(images.float() / 64 - 2).flatten(2).transpose(1, 2)
    alpha = net.attribute_spatial(psi)
    torch.testing.assert_close(alpha.sum(-1), torch.ones(2, 3))
    torch.testing.assert_close(net.class_spatial(psi, alpha).sum(-1), torch.ones(2, TAXONOMY.class_count))


def test_variants_differ() -> None:
    images = pictures(2)
    outputs = [network(system).attributes(images).embeddings for system in ["m3net", "m3net_a", "m3net_c"]]
    assert not torch.allclose(outputs[0], outputs[2])
    pairs = every_pair(2)
    full, classes_only = network("m3net"), network("m3net_c")
    assert not torch.allclose(
        full.classes(full.attributes(images), pairs), classes_only.classes(classes_only.attributes(images), pairs)
    )


def test_embedding_depends_on_its_condition_and_class() -> None:
    net, images = network(), pictures(1)
    unit = F.normalize(net.attributes(images).embeddings[0], dim=-1)
    assert (unit @ unit.T - torch.eye(3)).max() < 0.9999
    pairs = ClassPairs(torch.zeros(3, dtype=torch.int64), torch.arange(3))
    classes = F.normalize(net.classes(net.attributes(images), pairs), dim=-1)
    assert (classes @ classes.T - torch.eye(3)).max() < 0.99999


def test_no_pairs_give_no_rows() -> None:
    net, images = network(), pictures(2)
    none = torch.zeros(0, dtype=torch.int64)
    assert net.classes(net.attributes(images), ClassPairs(none, none)).shape == (0, 256)


def test_pool_pairs_against_loop() -> None:
    generator = torch.Generator().manual_seed(3)
    psi = torch.rand(4, 6, 5, generator=generator)
    image = torch.tensor([3, 0, 3, 1, 3])
    weights = torch.rand(5, 6, generator=generator)
    expected = torch.stack([(psi[b] * w[:, None]).sum(0) for b, w in zip(image, weights, strict=True)])
    torch.testing.assert_close(pool_pairs(psi, image, weights), expected)


def test_every_parameter_learns() -> None:
    net = network().train()
    output = net.attributes(pictures(4))
    (output.logits.square().sum() + net.classes(output, every_pair(4)).square().sum()).backward()
    assert not [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 1e-7]


def test_predicted_classes() -> None:
    probabilities = torch.tensor(
        [[0.9, 0.95, 0.1, 0.85, 0.9, 0.2, 0.1, 0.4, 0.6], [0.1, 0.2, 0.3, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05]]
    )
    chosen = predicted_classes(probabilities, TAXONOMY, 0.8).int().tolist()
    assert chosen[0] == [0, 1, 0, 1, 1, 0, 0, 0, 1]  # single-label: the best alone; multi-label: all above γ
    assert chosen[1] == [0, 0, 1, 1, 0, 0, 0, 1, 0]  # nothing above γ: the best alone


@pytest.mark.parametrize(
    "wrong",
    [
        {"system": "m4net"},
        {"threshold": 1.0},
        {"dropout": 1.0},
        {"head": "linear"},
        {"hidden": -1},
        {"backbone": "vgg"},
        {"stem": "x"},
    ],
)
def test_impossible_settings(wrong: dict[str, object]) -> None:
    with pytest.raises(EncoderError):
        build_encoder(EncoderConfig(**wrong), TAXONOMY)  # type: ignore[arg-type]


def test_missing_weights_file_is_named() -> None:
    with pytest.raises(EncoderError, match=r"nowhere\.pth"):
        M3Net(EncoderConfig(backbone="resnet18", weights="nowhere.pth"), TAXONOMY)


def test_wrong_input_shape() -> None:
    with pytest.raises(EncoderError, match="B×3×H×W"):
        network().attributes(torch.zeros(2, 1, 32, 32))


def test_fine_stem() -> None:
    net = M3Net(EncoderConfig(backbone="resnet18", stem="fine"), TAXONOMY).eval()
    assert net.backbone(torch.zeros(1, 3, 64, 64)).shape[1:] == (256, 8, 8)


def test_papers_sizes() -> None:
    net = M3Net(EncoderConfig(backbone="resnet50"), TAXONOMY)
    assert sum(p.numel() for p in net.backbone.parameters()) == 8_543_296  # design 2 §7
    assert net.width == 1024 and net.attribute_spatial.hidden == 512


@torch.no_grad()
def test_class_attention_is_what_the_map_is_pooled_with() -> None:
    """The class vector before its gates is S times the sum of ψ by attribute and class attention."""
    net, images = network(), pictures(2)
    output = net.attributes(images)
    pairs = ClassPairs(torch.tensor([0, 1]), torch.tensor([4, 8]))
    maps, psi = net.class_attention(output, pairs), net.backbone(normalize(images))
    for k, (b, m) in enumerate(((0, 4), (1, 8))):
        n = TAXONOMY.attribute_of_class[m]
        phi, _, _ = literal_attribute(net, images[b], n)
        weights = phi / psi[b]  # S·α_n, in every channel
        share = maps[k] / weights.nanmedian(0).values
        expected = literal_class_attention(net, images[b], n, m - TAXONOMY.offsets[n])
        torch.testing.assert_close(share / share.sum(), expected / expected.sum(), atol=1e-4, rtol=1e-3)
