"""Images/s of the full duet against the bare backbone: same process, same batch, in turn.

The claim: predicted class embeddings and all attribute embeddings cost little beside the one backbone pass.
"""

from __future__ import annotations

import argparse

import torch

from benchmarks.ratio import compare, spread
from model.duet import encode
from model.encoder import EncoderConfig
from model.preparation import normalize
from model.systems.m3net import M3Net
from model.taxonomy import Attribute, Taxonomy


def taxonomy_of(attributes: int, classes: int) -> Taxonomy:
    """``attributes`` single-label attributes of ``classes`` classes each."""
    names = tuple(f"class-{m}" for m in range(classes))
    return Taxonomy(tuple(Attribute(f"attribute-{n}", names) for n in range(attributes)))


def options() -> argparse.ArgumentParser:
    """The sizes, shared with the training benchmark."""
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--attributes", type=int, default=8)
    parser.add_argument("--classes", type=int, default=12, help="of each attribute")
    parser.add_argument("--size", type=int, default=224, help="pixels, square")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


def sizes(given: argparse.Namespace) -> str:
    """What is measured, in a line."""
    heads = f"{given.attributes} attributes x {given.classes} classes"
    return f"{given.backbone}, {given.size} px, batch {given.batch}, {heads}, float32, {given.device}"


def main() -> None:
    """Print the ratio duet / backbone in images/s."""
    given = options().parse_args()
    torch.manual_seed(0)
    encoder = M3Net(EncoderConfig(backbone=given.backbone), taxonomy_of(given.attributes, given.classes))
    encoder = encoder.eval().to(given.device).to(memory_format=torch.channels_last)
    images = torch.randint(0, 256, (given.batch, 3, given.size, given.size), dtype=torch.uint8, device=given.device)
    images = images.contiguous(memory_format=torch.channels_last)
    wait = torch.cuda.synchronize if given.device != "cpu" else lambda: None

    def bare() -> None:
        with torch.inference_mode():
            encoder.backbone(normalize(images))
        wait()

    def duet() -> None:
        encode(encoder, images)
        wait()

    full, backbone, ratios = compare(duet, bare, given.rounds)
    print(sizes(given))
    print(f"bare backbone   {given.batch / backbone:8.1f} images/s")
    print(f"full duet       {given.batch / full:8.1f} images/s")
    print(f"ratio duet / backbone in images/s: {spread(ratios)}; limit 0.70 or more")


if __name__ == "__main__":
    main()
