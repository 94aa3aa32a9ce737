"""Images/s of `asen_v2`, all attributes from one backbone pass, against one backbone pass for each attribute.

The public code of ASEN takes (image, attribute) pairs and gives one embedding of each, so a catalogue goes through its
backbone once for each image and attribute. The slow side does that with the very same modules and weights: for one
attribute after the other, backbone, spatial attention, pooling, channel attention and normalisation, under a condition
that is looked up for each image. It reads no class from the embeddings; the fast side, `encode`, does.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.duet import options, sizes, taxonomy_of
from benchmarks.ratio import compare, spread
from model.duet import encode
from model.encoder import EncoderConfig
from model.preparation import normalize
from model.systems.asen_v2 import ASENv2
from model.systems.base import positions_first

_BOUND = 1e-5  # largest difference of two numbers of an embedding, float32, norm 1


@torch.inference_mode()
def one_at_a_time(encoder: ASENv2, images: Tensor) -> Tensor:
    """Attribute embeddings B×A×C, L2-normalised, from A backbone passes."""
    parts = []
    for n in range(encoder.count):
        psi = encoder.backbone(normalize(images))
        condition = encoder.attr_embedding(torch.full((len(images), 1), n, device=images.device))
        vectors, _ = encoder.attention(positions_first(psi), condition)
        parts.append(F.normalize(vectors[:, 0], dim=-1))
    return torch.stack(parts, 1)


def check(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference; fails above the bound, or if attributes are too alike for one to be told from another."""
    apart = min(float((ours[:, n : n + 1] - theirs[:, n + 1 :]).abs().amax(2).min()) for n in range(ours.shape[1] - 1))
    assert apart > 10 * _BOUND, f"two attributes' embeddings differ by {apart:.1e} only: nothing would be shown"
    difference = float((ours - theirs).abs().max())
    assert difference <= _BOUND, f"the embeddings differ by {difference:.1e}, more than {_BOUND:.0e}"
    return difference


def main() -> None:
    """Print the ratio one pass / a pass per attribute in images/s."""
    given = options().parse_args()
    torch.manual_seed(0)
    config = EncoderConfig(system="asen_v2", backbone=given.backbone)
    encoder = ASENv2(config, taxonomy_of(given.attributes, given.classes))
    encoder = encoder.eval().to(given.device).to(memory_format=torch.channels_last)
    images = torch.randint(0, 256, (given.batch, 3, given.size, given.size), dtype=torch.uint8, device=given.device)
    images = images.contiguous(memory_format=torch.channels_last)
    wait = torch.cuda.synchronize if given.device != "cpu" else lambda: None

    def once() -> None:
        encode(encoder, images)
        wait()

    def each() -> None:
        one_at_a_time(encoder, images)
        wait()

    difference = check(encode(encoder, images).attribute_embeddings, one_at_a_time(encoder, images))
    one, many, ratios = compare(once, each, given.rounds)
    print(f"asen_v2 on {sizes(given)}, {torch.get_num_threads()} threads")
    print(f"a backbone pass per attribute {given.batch / many:8.1f} images/s")
    print(f"one backbone pass             {given.batch / one:8.1f} images/s")
    print(f"largest difference of the embeddings {difference:.1e}; limit {_BOUND:.0e}")
    print(f"ratio one pass / a pass per attribute in images/s: {spread(ratios)}; limit 5 or more")


if __name__ == "__main__":
    main()
