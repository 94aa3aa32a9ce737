"""Tiny trees of every public data set's layout, with the traps of the real ones, and what an import makes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

Row = tuple[str, str | None, dict[str, set[str]]]


@dataclass
class Expected:
    """By hand, from the tree's text.

    Args:
        rows: item id -> (location, split, attribute -> classes).
        attributes: names, in order.
        root: folder of the pictures, relative to the tree.
        roles: (item id, attribute, role, class).
        triplets: (split, attribute, anchor, positive, negative), in order.
        skipped: reason -> count.
        noticed: reason -> count.
        options: that the import needs.
    """

    rows: dict[str, Row]
    attributes: Sequence[str]
    root: str = ""
    roles: set[tuple[str, str, str, str]] | None = None
    triplets: list[tuple[str, str, str, str, str]] | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    noticed: Mapping[str, int] = field(default_factory=dict)
    options: Sequence[str] = ()


def write(path: Path, text: str | bytes) -> Path:
    """A file with exactly these characters."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def draw(root: Path, *names: str) -> None:
    """A small JPEG each."""
    for shade, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 12), (shade * 20 % 256, 90, 120)).save(root / name, "JPEG")


def fashionai(root: Path) -> Expected:
    """Two downloads; m, no y at all, two y, wrong length, CRLF, a picture that is not there, one labelled twice."""
    collar, neck, skirt = (f"Images/{name}_labels" for name in ("collar_design", "neck_design", "skirt_length"))
    write(
        root / "train1/Annotations/label.csv",
        f"{collar}/a.jpg,collar_design_labels,nmynn\r\n"
        f"{collar}/b.jpg,collar_design_labels,nnnnn\n"
        f"{collar}/c.jpg,collar_design_labels,ynnny\n"
        f"{collar}/d.jpg,collar_design_labels,nnny\n"
        f"{skirt}/a.jpg,skirt_length_labels,nnnnny\n"
        f"{collar}/a.jpg,collar_design_labels,ynnnn\n"
        f"{collar}/gone.jpg,collar_design_labels,ynnnn\n"
        "no row at all\n",
    )
    write(root / "train2/Annotations/label.csv", f"{neck}/e.jpg,neck_design_labels,ymnmn")
    draw(root / "train1", *(f"{collar}/{name}.jpg" for name in "abcd"), f"{skirt}/a.jpg")
    draw(root / "train2", f"{neck}/e.jpg")
    (root / "rank").mkdir()
    # The splits follow from SHA-256 of the names: 'a.jpg' and 'e.jpg'.
    rows: dict[str, Row] = {}
    for name, attribute, label in (
        (f"train1/{collar}/a.jpg", "collar_design", "Peter Pan"),
        (f"train1/{skirt}/a.jpg", "skirt_length", "Floor Length"),
        (f"train2/{neck}/e.jpg", "neck_design", "Invisible"),
    ):
        rows[name] = (name, "train", {attribute: {label}})
    return Expected(
        rows,
        (
            *("skirt_length", "sleeve_length", "coat_length", "pant_length"),
            *("collar_design", "lapel_design", "neckline_design", "neck_design"),
        ),
        skipped={
            "row without a class": 1,
            "marks are not one of n, m, y for each class, with one y at most": 2,
            "item occurs more than once; the first one is kept": 1,
            "no such picture": 1,
            "line cannot be parsed": 1,
        },
    )


def asen_darn(root: Path) -> Expected:
    """0-based ids; several pairs in a line; a last line without its end; ids, attributes and classes out of range."""
    color, sleeve = "clothes color", "sleeve length"
    meta = {"ATTRIBUTES": [color, sleeve], "ATTRIBUTES_NUM": {color: 3, sleeve: 2}}
    write(root / "meta.json", json.dumps({"DARN": meta, "FashionAI": {"ATTRIBUTES": [], "ATTRIBUTES_NUM": {}}}))
    folder = root / "DARN"
    write(folder / "filenames_train.txt", "pic/0.jpg\npic/1.jpg\npic/2.jpg")
    write(folder / "label_train.txt", "0 0 2 1 0\n2 1 1\n1 0 3\n3 0 0\nx 0 0\n1 0\n")
    write(folder / "filenames_valid.txt", "pic/3.jpg\n")
    write(folder / "query_valid.txt", "0 0 0\n")
    write(folder / "candidate_valid.txt", "0 1 1")
    write(folder / "filenames_test.txt", "pic/0.jpg\npic/gone.jpg\npic/5.jpg\n")
    write(folder / "query_test.txt", "0 0 1\n")
    write(folder / "candidate_test.txt", "2 0 1\n1 0 1\n2 1 0\n2 1 0 1 1\n9 0 0\n")
    draw(folder, *(f"pic/{n}.jpg" for n in (0, 1, 2, 3, 5)))
    return Expected(
        {
            "train/0": ("pic/0.jpg", "train", {color: {"2"}, sleeve: {"0"}}),
            "train/1": ("pic/1.jpg", "train", {}),
            "train/2": ("pic/2.jpg", "train", {sleeve: {"1"}}),
            "valid/0": ("pic/3.jpg", "val", {color: {"0"}, sleeve: {"1"}}),
            "test/0": ("pic/0.jpg", "test", {color: {"1"}}),
            "test/2": ("pic/5.jpg", "test", {color: {"1"}, sleeve: {"0"}}),
        },
        (color, sleeve),
        root="DARN",
        roles={
            ("valid/0", color, "query", "0"),
            ("valid/0", sleeve, "gallery", "1"),
            ("test/0", color, "query", "1"),
            ("test/2", color, "gallery", "1"),
            ("test/2", sleeve, "gallery", "0"),
        },
        skipped={
            "attribute or class out of range": 1,
            "id out of range": 2,
            "line cannot be parsed": 1,
            "not an id and pairs of attribute and class": 1,
            "not an id, an attribute and a class": 1,
            "no such picture": 1,
            "query or candidate whose item was left out": 1,
        },
        options=["--set-name", "DARN"],
    )


CLOTH = """5
attribute_name  attribute_type
a-line              3
abstract chevron print     1
animal print  1
lace up\t4
beach  5
cotton 2
"""


def asen_deepfashion(root: Path) -> Expected:
    """Label files with tabs, CRLF and trailing tabs; types from 1, classes by line, queries by number in the type."""
    names = [f"{name}-related" for name in ("texture", "fabric", "shape", "part", "style")]
    meta = {"ATTRIBUTES": names, "ATTRIBUTES_NUM": dict(zip(names, (2, 1, 1, 1, 1), strict=True))}
    folder = root / "DeepFashion"
    write(root / "meta.json", json.dumps({"DeepFashion": meta}))
    write(folder / "Anno/list_attr_cloth.txt", CLOTH)
    write(folder / "filenames_train.txt", "img/0.jpg\nimg/1.jpg\n")
    write(folder / "label_train.txt", "0 0 1 4 0\n1 2 0\n")
    write(folder / "filenames_valid.txt", "img/2.jpg\n")
    write(folder / "label_valid.txt", "0\t1\t2\t1\t1\t3\t0\t\t\r\n")
    write(folder / "query_valid.txt", "0 0 1\n")
    write(folder / "candidate_valid.txt", "0 2 0\n")
    write(folder / "filenames_test.txt", "img/3.jpg\nimg/4.jpg\n")
    write(folder / "label_test.txt", "0\t4\t3\t\r\n1\t2\t2\t\r\n1\t2\t6\t\r\n1\t2\t5\t\r\n")
    write(folder / "query_test.txt", "0 3 0\n")
    write(folder / "candidate_test.txt", "1 0 0\n")
    draw(folder, *(f"img/{n}.jpg" for n in range(5)))
    return Expected(
        {
            "train/0": ("img/0.jpg", "train", {names[0]: {"animal print"}, names[4]: {"beach"}}),
            "train/1": ("img/1.jpg", "train", {names[2]: {"a-line"}}),
            "valid/0": (
                "img/2.jpg",
                "val",
                {names[0]: {"animal print", "abstract chevron print"}, names[2]: {"a-line"}},
            ),
            "test/0": ("img/3.jpg", "test", {names[3]: {"lace up"}}),
            "test/1": ("img/4.jpg", "test", {names[1]: {"cotton"}}),
        },
        names,
        root="DeepFashion",
        roles={
            ("valid/0", names[0], "query", "animal print"),
            ("valid/0", names[2], "gallery", "a-line"),
            ("test/0", names[3], "query", "lace up"),
            ("test/1", names[0], "gallery", "abstract chevron print"),
        },
        skipped={
            "type is not the one that list_attr_cloth.txt has": 1,
            "line of list_attr_cloth.txt out of range": 1,
        },
        noticed={
            "line 1 does not state the number of rows, 6": 1,
            "class of a query or candidate that its labels lack": 1,
        },
        options=["--set-name", "DeepFashion"],
    )


def deepfashion(root: Path) -> Expected:
    """Names with spaces; counts and headers; 0 = unknown; padding; an item that is in no split, and one in two."""
    write(root / "Anno_coarse/list_attr_cloth.txt", CLOTH.replace("5\n", "6\n", 1))
    write(
        root / "Anno_coarse/list_attr_img.txt",
        "5\nimage_name  attribute_labels\n"
        "img/A_Dress/img_1.jpg   1 -1  1  0 -1  0\n"
        "img/A_Dress/img_2.jpg  -1  1  1 -1  1  1\n"
        "img/B Top/img_1.jpg    -1 -1  0 -1 -1 -1\n"
        "img/B Top/img_2.jpg    -1 -1  2 -1 -1 -1\n"
        "img/C/img_1.jpg   0  0  0  1  0  0\n",
    )
    write(
        root / "Eval/list_eval_partition.txt",
        "5\nimage_name  evaluation_status\n"
        "img/A_Dress/img_1.jpg   train\nimg/A_Dress/img_2.jpg   val\n"
        "img/B Top/img_1.jpg   test\nimg/B Top/img_2.jpg   test\nimg/C/img_1.jpg   rest\n"
        "img/A_Dress/img_1.jpg   test\n",
    )
    pictures = ["img/A_Dress/img_1.jpg", "img/A_Dress/img_2.jpg", "img/B Top/img_1.jpg", "img/C/img_1.jpg"]
    draw(root / "Img", *pictures)
    labels: list[dict[str, set[str]]] = [
        {"shape": {"a-line"}, "texture": {"animal print"}},
        {"texture": {"abstract chevron print", "animal print"}, "style": {"beach"}, "fabric": {"cotton"}},
        {},
        {"part": {"lace up"}},
    ]
    splits = ("train", "val", "test", None)
    return Expected(
        {name: (name, split, known) for name, split, known in zip(pictures, splits, labels, strict=True)},
        ("texture", "fabric", "shape", "part", "style"),
        root="Img",
        skipped={
            "a split that is not train, val or test": 1,
            "not a location and 6 values of 1, -1 or 0": 1,
        },
        noticed={"item without a split": 1, "listed more than once; the first line counts": 1},
    )


def zappos50k(root: Path) -> Expected:
    """Anchor, far, close; plain text in a .json; an item of two splits and one of none; ids out of range; CIDs."""
    names = [
        *("Shoes/Oxfords/0.jpg", "Boots/Ankle/1.jpg", "Sandals/Flat/2.jpg"),
        *("Shoes/Heels/Nine West/100627.72.jpg", "Boots/Knee/J. & M./8000978.3.jpg"),
    ]
    write(root / "filenames.json", "\n".join(names))
    for attribute in ("class", "closure", "gender", "heel"):
        for split in ("train", "val", "test"):
            write(root / f"tripletlists/{attribute}_tripletlist_{split}.txt", "")
    write(root / "tripletlists/class_tripletlist_train.txt", "0 1 3\n0 5 1\n0 1\n")
    write(root / "tripletlists/heel_tripletlist_train.txt", "3 0 1")
    write(root / "tripletlists/gender_tripletlist_test.txt", "2 3 2\n")
    write(
        root / "meta-data.csv",
        "CID,Category,SubCategory,HeelHeight,Insole,Closure,Gender,Material,ToeStyle\r\n"
        "100627-72,Shoes,Heels,1in - 1 3/4in,,Slip-On; Zipper;Slip-On,Women,Leather;Suede,Round Toe\r\n"
        '8000978-3,Boots,Knee,,Padded,"Lace up, Hook",Men;Women,,\r\n'
        "0,Shoes,Oxfords,Flat,,,Boys\r\n"
        "1,Boots,Ankle,,,,,,\r\n"
        "100627-72,Shoes,Heels,Flat,,,Men,,\r\n"
        ",Shoes,Heels,Flat,,,Men,,\r\n"
        "999-9,Shoes,Heels,Flat,,,Men,,\r\n",
    )
    draw(root / "ut-zap50k-images", *names)
    return Expected(
        {
            names[0]: (names[0], "train", {"class": {"Shoes"}, "gender": {"Boys"}, "heel": {"Flat"}}),
            names[1]: (names[1], "train", {"class": {"Boots"}}),
            names[2]: (names[2], "test", {"class": {"Sandals"}}),
            names[3]: (
                names[3],
                "train",
                {"class": {"Shoes"}, "closure": {"Slip-On", "Zipper"}, "gender": {"Women"}, "heel": {"1in - 1 3/4in"}},
            ),
            names[4]: (
                names[4],
                None,
                {"class": {"Boots"}, "closure": {"Lace up, Hook"}, "gender": {"Men", "Women"}},
            ),
        },
        ("class", "closure", "gender", "heel"),
        root="ut-zap50k-images",
        triplets=[
            ("train", "class", names[0], names[3], names[1]),
            ("train", "heel", names[3], names[1], names[0]),
            ("test", "gender", names[2], names[2], names[3]),
        ],
        skipped={
            "id out of range": 1,
            "not three ids": 1,
        },
        noticed={
            "item in the triplets of several splits": 1,
            "item that meta-data.csv does not have": 1,
            "listed more than once; the first line counts": 1,
        },
    )


def shopping100k(root: Path) -> Expected:
    """One-hot rows over all attributes; all zeros = unknown; two ones; the real numbers of classes."""
    sizes = [16, 17, 19, 14, 10, 15, 2, 11, 16, 7, 9, 15]
    names = (
        *("category", "collar", "color", "fabric", "fastening", "fit"),
        *("gender", "neckline", "pattern", "pocket", "sleeve", "sport"),
    )

    def row(**classes: int) -> str:
        values = [["0"] * size for size in sizes]
        for name, place in classes.items():
            values[names.index(name)][place] = "1"
        return " ".join(value for part in values for value in part)

    write(root / "attr_num.txt", "\n".join(map(str, sizes)))
    write(root / "imgs_train.txt", "m/1.jpg\nm/2.jpg\nm/3.jpg\n")
    write(root / "labels_train.txt", f"{row(category=15, gender=1)}\n{row(sport=0)}\n{row(color=1)[:-2]}\n")
    write(root / "imgs_test.txt", "w/1.jpg\nw/2.jpg")
    write(root / "labels_test.txt", f"{row()}\n{row(collar=3)[:-1] + '1'}\n")
    draw(root, "m/1.jpg", "m/2.jpg", "m/3.jpg", "w/1.jpg", "w/2.jpg")
    return Expected(
        {
            "m/1.jpg": ("m/1.jpg", "train", {"category": {"15"}, "gender": {"1"}}),
            "m/2.jpg": ("m/2.jpg", "train", {"sport": {"0"}}),
            "w/1.jpg": ("w/1.jpg", "test", {}),
            "w/2.jpg": ("w/2.jpg", "test", {"collar": {"3"}, "sport": {"14"}}),
        },
        names,
        skipped={"not 151 zeros and ones": 1},
    )


def imaterialist2018(root: Path) -> Expected:
    """Ids as text or numbers, which begin anew in each split; quoted commas; no task 7; labels that are not there."""
    write(
        root / "iMat_fashion_2018_label_map_228.csv",
        "labelId,taskId,labelName,taskName\r\n66,5,"
        '"Skirts, Short",category\r\n17,8,"Floral, ""Big""",pattern\r\n5,6,Denim,material\r\n9,8,Plain,pattern\r\n',
    )
    images = [{"imageId": str(n), "url": f"http://example.org/{n}"} for n in range(1, 5)]
    annotations = [
        {"imageId": "1", "labelId": ["66", "17"]},
        {"imageId": 2, "labelId": [17, 9, 5, 999]},
        {"imageId": "3", "labelId": "66"},
        {"imageId": "4", "labelId": []},
        {"labelId": ["5"]},
    ]
    write(root / "train.json", json.dumps({"images": images, "annotations": annotations}))
    write(root / "validation.json", json.dumps({"annotations": [{"imageId": "1", "labelId": ["5"]}], "info": {}}))
    draw(root, *(f"train/{n}.jpg" for n in (1, 2, 3, 4)), "validation/1.jpg")
    return Expected(
        {
            "train/1": ("train/1.jpg", "train", {"category": {"Skirts, Short"}, "pattern": {'Floral, "Big"'}}),
            "train/2": ("train/2.jpg", "train", {"pattern": {'Floral, "Big"', "Plain"}, "material": {"Denim"}}),
            "train/4": ("train/4.jpg", "train", {}),
            "validation/1": ("validation/1.jpg", "val", {"material": {"Denim"}}),
        },
        ("category", "material", "pattern"),
        skipped={
            "label that the label map does not have": 1,
            "annotation without imageId or a list of labelId": 2,
        },
    )


def celeba(root: Path) -> Expected:
    """A number that is not that of the rows; runs of spaces; groups of names; an item of no split, and one of two."""
    names = [
        *("5_o_Clock_Shadow", "Bald", "Bangs", "Black_Hair", "Blond_Hair", "Brown_Hair", "Eyeglasses", "Goatee"),
        *("Gray_Hair", "Male", "Mustache", "No_Beard", "Receding_Hairline", "Sideburns", "Smiling"),
        *("Straight_Hair", "Wavy_Hair", "Wearing_Hat", "Young"),
        *(f"Other_{n}" for n in range(21)),
    ]

    def row(name: str, *carried: str) -> str:
        return f"{name} " + " ".join(" 1" if other in carried else "-1" for other in names)

    write(
        root / "Anno/list_attr_celeba.txt",
        f"202599\n{' '.join(names)} \n"
        f"{row('000001.jpg', 'Black_Hair', 'Bangs', 'Wavy_Hair', 'No_Beard', 'Young')}\n"
        f"{row('000002.jpg', 'Male', 'Eyeglasses', 'Wearing_Hat')}\n"
        f"{row('000003.jpg')[:-3]}\n"
        f"{row('000004.jpg', 'Smiling')}\n",
    )
    write(root / "Eval/list_eval_partition.txt", "000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n000001.jpg 2\n")
    draw(root / "Img/img_align_celeba", *(f"00000{n}.jpg" for n in (1, 2, 3, 4)))
    lacks = {"smile": "Smiling", "glasses": "Eyeglasses", "gender": "Male", "hat": "Wearing_Hat", "age": "Young"}

    def labels(**known: set[str]) -> dict[str, set[str]]:
        return {**{group: {f"not {name}"} for group, name in lacks.items()}, **known}

    return Expected(
        {
            "000001.jpg": (
                "000001.jpg",
                "train",
                {
                    **labels(beard={"No_Beard"}, age={"Young"}),
                    "hair color": {"Black_Hair"},
                    "hair type": {"Bangs", "Wavy_Hair"},
                },
            ),
            "000002.jpg": (
                "000002.jpg",
                "val",
                labels(gender={"Male"}, glasses={"Eyeglasses"}, hat={"Wearing_Hat"}),
            ),
            "000004.jpg": ("000004.jpg", None, labels(smile={"Smiling"})),
        },
        ("hair color", "hair type", "beard", "smile", "glasses", "gender", "hat", "age"),
        root="Img/img_align_celeba",
        skipped={"not a file and 40 values of 1 or -1": 1},
        noticed={
            "line 1 does not state the number of rows, 4": 1,
            "item without a split": 1,
            "listed more than once; the first line counts": 1,
        },
    )


TREES = {
    "fashionai": fashionai,
    "asen": asen_darn,
    "asen-deepfashion": asen_deepfashion,
    "deepfashion": deepfashion,
    "zappos50k": zappos50k,
    "shopping100k": shopping100k,
    "imaterialist2018": imaterialist2018,
    "celeba": celeba,
}


def set_name(tree: str) -> str:
    """The name of the reader for a tree."""
    return tree.partition("-")[0]
