"""What every system must hold, and every switch of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from model.checkpoint import load_checkpoint, save_checkpoint
from model.duet import encode
from model.encoder import ClassPairs, Encoder, EncoderConfig
from model.errors import EncoderError
from model.objective import Counts, Losses, Roles
from model.preparation import ImagePreparation
from model.systems import SYSTEMS, build_encoder, build_objective, check_used
from pipelines.train.sampler import draw_roles
from tests.model.networks import TAXONOMY, encoder, pictures

from .cases import losses_of, random_case

EVERY = list(SYSTEMS)
# What a switch changes, and all that it changes: the head for manipulation, the embeddings or logits of a picture (by
# the same weights where they fit), the losses of an output, which parameters are trained.
CHANGES = {
    ("csn", "fixed"): {"output", "trained"},
    ("csn", "disjoint"): {"output"},
    ("csn", "original"): {"output", "loss"},
    ("asen", "without_spatial"): {"output"},
    ("asen", "without_channel"): {"output"},
    ("asen_v2", "without_spatial"): {"output"},
    ("asen_v2", "without_channel"): {"output"},
    ("agman", "without_asa"): {"output"},
    ("agman", "without_sa"): {"output"},
    ("agman", "without_aca"): {"output"},
    ("agman", "without_ca"): {"output"},
    ("agman", "without_mask"): {"output"},
    ("agman", "without_hierarchy"): {"output"},
    ("agman", "without_branch"): {"loss"},
    ("agman", "without_weights"): {"trained"},
    ("fashionsearchnet", "without_rank"): {"head", "loss"},
    ("fashionsearchnet", "without_localisation"): {"output"},
    ("fashionsearchnet", "without_global"): {"head"},
    ("fashionsearchnet", "frozen_memory"): {"head"},
    ("fashionsearchnet", "fusion"): {"output"},
    ("posterior", "without_posterior"): {"output"},
    ("posterior", "without_softmax"): {"loss"},
    ("posterior", "without_classes"): {"loss"},
}
SWITCHED = [(name, switch) for name, system in SYSTEMS.items() for switch in system.switches]
TWO_STAGES = {"asen_pp", "fashionsearchnet"}
STAGES = [(name, stage) for name in EVERY for stage in range(2 if name in TWO_STAGES else 1)]
COUNT = len(TAXONOMY.attributes)


@pytest.mark.parametrize("name", EVERY)
def test_one_pass_gives_all_attributes(name: str) -> None:
    net, calls = encoder(name), 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    net.backbone.conv1.register_forward_hook(count)
    output = net.attributes(pictures(3))
    assert output.embeddings.shape == (3, COUNT, net.width) and output.logits.shape == (3, TAXONOMY.class_count)
    assert torch.isfinite(output.embeddings).all() and torch.isfinite(output.logits).all()
    assert calls == 1


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(("setting", "value"), [("hidden", 24), ("dropout", 0.5)])
def test_a_setting_matters_or_is_refused(setting: str, value: float, name: str) -> None:
    config = EncoderConfig(system=name, backbone="resnet18", **{setting: value})
    if setting in SYSTEMS[name].unused:
        with pytest.raises(EncoderError, match=f"{name}: {setting} = .* changes nothing"):
            check_used(config)
        return
    check_used(config)
    if setting == "dropout" and SYSTEMS[name].heads == ("centre",):
        with pytest.raises(EncoderError, match=f"{name} learns no classifier"):
            build_encoder(config, TAXONOMY)
        return
    changed = build_encoder(config, TAXONOMY)
    if setting == "hidden":
        shapes = [[v.shape for v in net.state_dict().values()] for net in (changed, encoder(name))]
        assert shapes[0] != shapes[1]
    else:  # the norms of the backbone learn nothing between two passes of one batch
        changed.train()
        first, second = (changed.attributes(pictures(3)).logits for _ in range(2))
        assert not torch.equal(first, second)


@pytest.mark.parametrize("name", EVERY)
def test_batch_of_one_equals_batch_of_many(name: str) -> None:
    net, images = encoder(name), pictures(4, 50, 33)  # a size that no layer divides
    many = encode(net, images)
    for b in range(len(images)):
        one = encode(net, images[b : b + 1])
        torch.testing.assert_close(one.attribute_embeddings[0], many.attribute_embeddings[b], atol=1e-5, rtol=0)
        torch.testing.assert_close(one.probabilities[0], many.probabilities[b], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("name", "switch"), SWITCHED)
def test_switches_matter(name: str, switch: str) -> None:
    plain, switched = encoder(name), encoder(name, switch)
    # The start of CSN's masks is what its switches are about; all else that fits is the same.
    own = switched.state_dict()
    fitting = {k: v for k, v in plain.state_dict().items() if k in own and v.shape == own[k].shape}
    switched.load_state_dict({k: v for k, v in fitting.items() if k != "masks.weight" or name != "csn"}, strict=False)
    heads, outputs, losses, trained = [], [], [], []
    for net in (plain, switched):
        objective = build_objective(SYSTEMS[name].losses, net)
        output = net.attributes(pictures(2))
        heads.append(SYSTEMS[name].manipulation(net.config))
        outputs.append((output.embeddings, output.logits))
        losses.append(losses_of(net, objective, random_case(net)).terms)
        parameters = {**dict(net.named_parameters()), **dict(objective.named_parameters())}
        trained.append({key: parameter.requires_grad for key, parameter in parameters.items()})
    first, second = trained
    changed = {
        "head": heads[0] != heads[1],
        "output": any(not same(one, other) for one, other in zip(*outputs, strict=True)),
        "loss": any(not same(losses[0][term], losses[1][term]) for term in losses[0]),
        "trained": any(first[key] is not second[key] for key in first.keys() & second.keys()),
    }
    assert {part for part, does in changed.items() if does} == CHANGES[name, switch]


def test_every_switch_has_its_change() -> None:
    assert CHANGES.keys() == set(SWITCHED)


def same(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and torch.allclose(first, second, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_the_losses_reach_every_parameter(name: str, stage: int) -> None:
    net = encoder(name).train()
    assert net.stages == (2 if name in TWO_STAGES else 1)
    net.stage = stage
    without = {parameter for parameter, size in _gradients(net).items() if not size > 0}
    later = {
        "asen_pp": {"local_backbone", "local_attention", "local_feature_fc"},
        "fashionsearchnet": {"fc", "region_heads"},
    }
    assert {parameter.split(".")[0] for parameter in without} == (later.get(name, set()) if stage == 0 else set())


@pytest.mark.parametrize("name", EVERY)
def test_shares_of_a_batch_sum_to_its_losses(name: str) -> None:
    """Two halves with the counts of the whole give the whole's losses: images keep their roles within a half."""
    net = encoder(name)  # in eval mode: training norms would see other batches
    net.stage = net.stages - 1
    whole, halves = _losses(net), [_losses(net, part) for part in (slice(0, 4), slice(4, 8))]
    for term, value in whole.terms.items():
        if term != "embedding_norm":  # of CSN: a root over the whole batch, which takes a process group
            torch.testing.assert_close(sum(half.terms[term] for half in halves), value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", EVERY)
def test_checkpoint_round_trip(name: str, tmp_path: Path) -> None:
    net = encoder(name, *list(SYSTEMS[name].switches)[:1]).to(memory_format=torch.channels_last)  # as it is loaded
    save_checkpoint(tmp_path / "checkpoint", net, ImagePreparation(48, 36))
    loaded = load_checkpoint(tmp_path / "checkpoint").encoder
    assert loaded.config == net.config and type(loaded) is type(net)
    first, second = (encode(each, pictures(2)) for each in (net, loaded))
    assert torch.equal(first.attribute_embeddings, second.attribute_embeddings)
    assert torch.equal(first.predicted, second.predicted)


@pytest.mark.parametrize("name", EVERY)
def test_class_level_says_what_it_is(name: str) -> None:
    net = encoder(name)
    pairs = ClassPairs(torch.tensor([0]), torch.tensor([1]))
    if net.has_classes:
        assert net.classes(net.attributes(pictures(1)), pairs).shape == (1, net.class_width)
    else:
        with pytest.raises(NotImplementedError):
            net.classes(net.attributes(pictures(1)), pairs)


@torch.no_grad()
@pytest.mark.parametrize("name", EVERY)
def test_says_where_it_looks(name: str) -> None:
    net = encoder(name)
    output = net.attributes(pictures(2, 64, 48))
    assert (output.attention is None) is (name in {"classifier", "triplet", "csn", "amnet"})
    if output.attention is not None:
        assert output.attention.shape == (2, COUNT, 4, 3) and (output.attention >= 0).all()
        if name != "fashionsearchnet":  # its activation maps are no distribution
            torch.testing.assert_close(output.attention.sum((2, 3)), torch.ones(2, COUNT))
    pairs = ClassPairs(torch.tensor([0, 1, 1]), torch.tensor([1, 4, 8]))
    if net.has_classes:
        classes = net.class_attention(output, pairs)
        assert classes.shape == (3, 4, 3)
        torch.testing.assert_close(classes.sum((1, 2)), torch.ones(3))
    else:
        with pytest.raises(NotImplementedError):
            net.class_attention(output, pairs)


def test_unknown_names_are_told() -> None:
    for wrong, told in (
        ({"system": "asn"}, "asen_v2"),
        ({"system": "asen", "switches": ("without_spacial",)}, "without_spatial"),
        ({"system": "asen", "head": "mlp"}, "centre"),
        ({"system": "asen", "dropout": 0.1}, "dropout"),
        ({"system": "csn", "switches": ("fixed", "disjoint")}, "not both"),
    ):
        with pytest.raises(EncoderError, match=told):
            build_encoder(EncoderConfig(**wrong, backbone="resnet18"), TAXONOMY)  # type: ignore[arg-type]


def _losses(net: Encoder, part: slice = slice(None)) -> Losses:
    """Of 8 images in two groups of 4, or of one group with the counts of both."""
    rng = np.random.default_rng(0)
    of_class = np.asarray(TAXONOMY.attribute_of_class)
    known = rng.random((8, COUNT)) < 0.9
    carried = np.zeros((8, TAXONOMY.class_count), bool)
    for b, n in zip(*known.nonzero(), strict=True):
        carried[b, rng.integers(TAXONOMY.span(n).start, TAXONOMY.span(n).stop)] = True
    groups = [
        draw_roles(np.arange(4), carried[g : g + 4], known[g : g + 4], of_class, np.random.default_rng(g))
        for g in (0, 4)
    ]
    offsets = (0, len(groups[0].anchor))
    chosen = [g for g in (0, 1) if part == slice(None) or part.start == 4 * g]
    base = (4 * chosen[0], offsets[chosen[0]])
    columns = []
    for name in ("anchor", "class_index", "positive", "negative"):
        parts = []
        for g in chosen:
            values, shift = (
                getattr(groups[g], name),
                {
                    "anchor": 4 * g - base[0],
                    "negative": 4 * g - base[0],
                    "positive": offsets[g] - base[1],
                    "class_index": 0,
                }[name],
            )
            parts.append(np.where(values >= 0, values + shift, -1))
        columns.append(torch.from_numpy(np.concatenate(parts)))
    negatives = [group.negative >= 0 for group in groups]
    triplets = [with_negative & (group.positive >= 0) for with_negative, group in zip(negatives, groups, strict=True)]
    counts = Counts(8, int(known.sum()), int(sum(n.sum() for n in negatives)), int(sum(t.sum() for t in triplets)))
    torch.manual_seed(0)
    objective = build_objective(SYSTEMS[net.config.system].losses, net)
    objective.prototypes.average.normal_()
    objective.prototypes.seen.fill_(True)
    images = pictures(8)[part]
    output = net.attributes(images)
    return objective(
        net, output, torch.from_numpy(carried)[part], torch.from_numpy(known)[part], Roles(*columns), counts
    )


def _gradients(net: Encoder) -> dict[str, float]:
    net.zero_grad(set_to_none=True)
    _losses(net).total.backward()
    trained = ((name, p) for name, p in net.named_parameters() if p.requires_grad)
    return {name: 0.0 if p.grad is None else float(p.grad.abs().sum()) for name, p in trained}
