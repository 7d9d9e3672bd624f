"""Good input made bad. All chance comes from the generator that is given: a number stands for its input."""

import base64
import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

BOUNDARIES = (
    b"\x00",
    b"\xff",
    b"\r\n",
    b'"',
    b"{",
    b"[",
    b"]}",
    b"\\ud800",
    b"1e999",
    b"-1",
    b"\xed\xa0\x80",
)
ODD_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2**31, 2**63, 2**64, 10**400, 1e308, float("nan"), float("inf"), "", " ", "\x00", "%",
    "\ud800", "A" * 70_000, "../../x", "2026-11-31T00:00:00Z", [], [[]], {}, {"": None}, [None] * 2000,
)  # fmt: skip
DEPTH = 3000


def of_bytes(random: Random, seed: bytes) -> bytes:
    """A few bytes changed, moved, dropped, doubled or cut off."""
    data = bytearray(seed)
    for _ in range(random.choice((1, 1, 2, 3, 8))):
        at, to = sorted(random.choices(range(len(data) + 1), k=2))
        match random.randrange(7):
            case 0 if at < len(data):
                data[at] ^= 1 << random.randrange(8)
            case 1 if at < len(data):
                data[at] = random.randrange(256)
            case 2:
                data[at:at] = random.choice(BOUNDARIES)
            case 3:
                del data[at : min(to, at + 64)]
            case 4:
                data[at:at] = data[at : min(to, at + 256)]
            case 5:
                del data[at:]
            case _:
                data[at:to] = random.randbytes(min(to - at, 64))
    return bytes(data)


def of_json(random: Random, seed: Any) -> Any:
    """A copy of a JSON value in which one place is missing, odd, doubled or swapped with another."""
    copy = json.loads(json.dumps(seed))
    places: list[tuple[Any, Any]] = list(_places(copy))
    if not places:
        return random.choice(ODD_VALUES)
    for _ in range(random.choice((1, 1, 2, 4))):
        holder, key = random.choice(places)
        other, other_key = random.choice(places)
        try:
            match random.randrange(4):
                case 0:
                    holder[key] = random.choice(ODD_VALUES)
                case 1:
                    del holder[key]
                case 2:
                    holder[key] = other[other_key]
                case _:
                    holder[key] = [holder[key]]
        except (KeyError, IndexError):
            continue  # an earlier change took it away
    return copy


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every member and item of a JSON value, with what holds it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in ((value, key), *_places(item))]


def as_body(random: Random, seed: Any) -> bytes:
    """The body of an answer: JSON of another shape, spoilt JSON, or brackets without end."""
    match random.randrange(8):
        case 0:
            return random.choice((b"[", b'{"a":')) * DEPTH
        case 1 | 2 | 3:
            return of_bytes(random, json.dumps(seed).encode())
        case _:
            return json.dumps(_finite(of_json(random, seed))).encode("utf-8", "surrogatepass")


def _finite(value: Any) -> Any:
    """Without circles, which swapping may have made."""
    try:
        json.dumps(value)
    except (ValueError, RecursionError):
        return None
    return value


def of_pem(random: Random, seed: bytes) -> bytes:
    """PEM whose DER is spoilt, or whose armour is, or whose blocks are many."""
    match random.randrange(6):
        case 0:
            return of_bytes(random, seed)
        case 1:
            return seed * random.choice((2, 50))
        case _:
            label = seed.split(b"-----")[1].removeprefix(b"BEGIN ")
            der = base64.b64decode(b"".join(seed.split(b"-----")[2].split()))
            spoilt = base64.encodebytes(of_bytes(random, der))
            return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label, spoilt, label)


def one_of(random: Random, seeds: Sequence[Any], change: Callable[[Random, Any], Any]) -> list[Any]:
    """The seeds with one of them changed."""
    spoilt = list(seeds)
    at = random.randrange(len(spoilt))
    spoilt[at] = change(random, spoilt[at])
    return spoilt
