"""Messages drawn from their own descriptions.

Half of them are near to what is valid: names, ids, pictures and tokens that exist stand among hostile ones.
"""

from __future__ import annotations

import importlib
import pkgutil
import random
from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from pipelines.rpc.duet import v1
from tests.pipelines.search.world import METADATA, TAXONOMY

from .shop import item_id, picture

_WHOLE = (0, 1, -1, 2, 10, 1000, 10**9, 2**31 - 1, -(2**31), 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1)
_REAL = (0.0, -0.0, 1.0, 0.5, -1.0, 1e-6, 1e6, 5e-324, 1.7e308, float("inf"), -float("inf"), float("nan"))
_TEXTS = (
    "",
    "a\0b",
    "\n",
    "'; DROP TABLE items; --",
    '"\\',
    "\u202e\u200b",
    "e\u0301",
    "👗",
    "../../etc/passwd",
    "file:///etc/passwd",
    "http://127.0.0.1:1/",
    "x" * 512,
    "x" * 513,
    "裙" * 5000,
    "2024-01-01",
    "9999-12-31T23:59:59.999999-23:59",
    "snapshots/",
    "items/",
)
_VALUES = {
    "price": "int_value",
    "weight": "double_value",
    "brand": "string_value",
    "sale": "bool_value",
    "added": "timestamp_value",
}
_SELDOM = ("page_token", "snapshot", "weight", "request_id", "validate_only", "excluded_classes", "operation")
_DEEPEST = 40  # levels of messages in messages that are drawn


def methods() -> list[MethodDescriptor]:
    """Every method of every service in the house's package, in the order of their names."""
    found = []
    for module in pkgutil.iter_modules(v1.__path__):
        if module.name.endswith("_pb2"):
            description = importlib.import_module(f"{v1.__name__}.{module.name}").DESCRIPTOR
            found += [method for service in description.services_by_name.values() for method in service.methods]
    return sorted(found, key=lambda method: method.full_name)


class DrawnMessages:
    """Draws messages, and learns tokens and names of snapshots from answers.

    Args:
        rng: of everything that is drawn.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng, self._tame = rng, False
        self._attribute, self._column = TAXONOMY.names[0], METADATA[0].name  # that a tame message named last
        self._tokens: list[str] = []
        self._snapshots = ["snapshots/published"]
        self._pictures = _pictures()
        self._classes = [name for attribute in TAXONOMY.attributes for name in attribute.classes]
        self._items = [f"items/{item_id(n)}" for n in range(6)]
        self._columns = [field.name for field in METADATA]
        self._known = [*TAXONOMY.names, *self._classes, *self._items, *self._columns, "O'Brien", "2024-01-01"]

    def some(self, kind: type[Message], count: int) -> list[bytes]:
        """So many messages of a kind, all of them tame, or none."""
        self._tame = self.rng.random() < 0.5
        return [self._damaged(self._bytes(kind())) for _ in range(count)]

    def _bytes(self, message: Message) -> bytes:
        self._fill(message, 0)
        return message.SerializeToString()

    def _damaged(self, data: bytes) -> bytes:
        """Mostly as it is; else cut short, with bytes changed, or with another message's bytes behind it."""
        rng = self.rng
        if not data or self._tame or rng.random() < 0.7:
            return data
        changed = bytearray(data)
        match rng.randrange(3):
            case 0:
                return data[: rng.randrange(len(data))]
            case 1:
                for _ in range(rng.choice((1, 1, 2, 8))):
                    changed[rng.randrange(min(len(changed), 200))] = rng.randrange(256)
                return bytes(changed)
        return data + self._bytes(GetMessageClass(rng.choice(methods()).input_type)())

    def _fill(self, message: Message, depth: int) -> None:
        """Set some fields of a message to something."""
        rng = self.rng
        fields = list(message.DESCRIPTOR.fields)
        if self._tame:
            self._fill_tamely(message, depth)
            return
        many = rng.random() < 0.3
        for field in fields:
            if rng.random() < (0.7 if many else 1.6 / len(fields)) * 0.97**depth:
                self._set(message, field, depth)

    def _fill_tamely(self, message: Message, depth: int) -> None:
        """Set about what a sensible caller would: one member of a oneof, all of a small message, some of a request."""
        rng = self.rng
        for group in message.DESCRIPTOR.oneofs:
            member = rng.choice(list(group.fields)) if depth < 5 else group.fields[0]
            if message.DESCRIPTOR.name == "Value":
                member = message.DESCRIPTOR.fields_by_name[_VALUES[self._column]]
            self._set(message, member, depth)
        for field in message.DESCRIPTOR.fields:
            likely = 0.9 if depth or len(message.DESCRIPTOR.fields) < 5 else 0.25
            if field.name in _SELDOM:
                likely = 0.08
            if field.containing_oneof is None and rng.random() < likely:
                self._set(message, field, depth)

    def _set(self, message: Any, field: FieldDescriptor, depth: int) -> None:
        rng = self.rng
        whole = field.message_type
        if whole is not None and depth >= _DEEPEST:
            return
        if field.is_repeated:
            target = getattr(message, field.name)
            count = rng.choice((0, 1, 1, 2, 3, 20)) if depth < 2 else rng.choice((0, 1, 1, 2))
            if self._tame:
                count = rng.choice((1, 2))
            elif rng.random() < 0.01 and depth < 2:
                count = 2000
            if whole is not None and whole.GetOptions().map_entry:
                values = whole.fields_by_name["value"]
                for _ in range(min(count, 5)):
                    key = self._scalar(whole.fields_by_name["key"])
                    if values.message_type is None:
                        target[key] = self._scalar(values)
                    else:
                        self._fill(target[key], depth + 1)
            elif whole is not None:
                for _ in range(count):
                    self._fill(target.add(), depth + 1)
            else:
                target.extend(self._scalar(field) for _ in range(count))
        elif whole is not None:
            getattr(message, field.name).SetInParent()
            self._fill(getattr(message, field.name), depth + 1)
        else:
            setattr(message, field.name, self._scalar(field))

    def _scalar(self, field: FieldDescriptor) -> Any:
        rng = self.rng
        match field.cpp_type:
            case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
                return self._picture()
            case FieldDescriptor.CPPTYPE_STRING:
                return self._text(field)
            case FieldDescriptor.CPPTYPE_BOOL:
                return rng.random() < 0.5
            case FieldDescriptor.CPPTYPE_ENUM:
                known = [value.number for value in field.enum_type.values if value.number or not self._tame]
                return rng.choice(known if self._tame or rng.random() < 0.8 else (99, -1, 2**31 - 1, -(2**31)))
            case FieldDescriptor.CPPTYPE_DOUBLE:
                return rng.choice((0.5, 1.0) if self._tame else _REAL)
            case FieldDescriptor.CPPTYPE_FLOAT:
                return rng.choice([value for value in _REAL if not 1e38 < abs(value) < float("inf")])
        bits = 32 if field.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32) else 64
        signed = field.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64)
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        return rng.choice((0, 1, 2, 10) if self._tame else [value for value in _WHOLE if low <= value <= high])

    def _text(self, field: FieldDescriptor) -> str:
        """Something that fits the field by its name, something else that exists, or something hostile."""
        rng = self.rng
        fitting: Sequence[str] = {
            "page_token": self._tokens,
            "snapshot": self._snapshots,
            "item_id": [item_id(n) for n in range(6)],
            "item_ids": [item_id(n) for n in range(20)],
            "attribute": TAXONOMY.names,
            "column": self._columns,
            "key": self._columns,
            "group_by": self._columns,
            "image_uri": ("0.png", "1.png"),
            "request_id": ("", "a", "b"),
            "name": self._snapshots if "Snapshot" in field.containing_type.name else self._items,
            "classes": self._classes,
        }.get(field.name, ())
        if self._tame and field.name.endswith(("class", "classes")):
            fitting = TAXONOMY.attribute(self._attribute).classes
        if fitting and (self._tame or rng.random() < 0.6):
            text = rng.choice(fitting)
            if self._tame and field.name == "attribute":
                self._attribute = text
            if self._tame and text in _VALUES:
                self._column = text
            return text
        known = self._tame or rng.random() < 0.5
        text = rng.choice((*self._known, *self._tokens, *self._snapshots) if known else _TEXTS)
        if not self._tame and rng.random() < 0.1 and text:
            place = rng.randrange(len(text))
            text = text[:place] + chr(rng.choice((0, 39, 65, 0x301, 0x202E, 0x1F457))) + text[place + 1 :]
        return text

    def _picture(self) -> bytes:
        rng = self.rng
        data = rng.choice(self._pictures[:9] if self._tame else self._pictures)
        if data and not self._tame and rng.random() < 0.5:
            changed = bytearray(data[: rng.randrange(len(data))] if rng.random() < 0.5 else data)
            for _ in range(min(len(changed), rng.choice((0, 1, 3)))):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
            data = bytes(changed)
        return data

    def remember(self, answer: Message) -> None:
        """Keep tokens and names of snapshots, to be sent again."""
        for field, value in answer.ListFields():
            if field.name == "next_page_token":
                self._tokens = [*self._tokens, value][-8:]
            if field.name == "snapshot" and isinstance(value, str) and value not in self._snapshots:
                self._snapshots = [*self._snapshots, value][-8:]


def _pictures() -> list[bytes]:
    pictures = [picture(seed, kind) for seed in range(3) for kind in ("PNG", "JPEG", "WEBP")]
    return [*pictures, picture(0, "GIF"), b"", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", bytes(5000)]
