"""One target under the fuzzer, as `tools.fuzz` starts it: `python -m tools.fuzz.one TARGET PLACE [FLAG…]`."""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["chains", "node"]):
    from chains import strict_json
    from tools.fuzz.target import LARGEST, Fault, Target
    from tools.fuzz.targets import TARGETS

SECONDS, SECONDS_PER_BYTE = 1.0, 2e-5
"""Of processor time that one input may take, with the fuzzer counting branches, which makes all of it slower."""

_ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    1 << 64,
    0.5,
    "",
    "0x",
    "0x0",
    "0x" + "00" * 32,
    "0x" + "ff" * 32,
    [],
    {},
    "\u0122",
)


def _check(target: Target, data: bytes) -> None:
    start = time.process_time()
    target.accepts(data)
    if (taken := time.process_time() - start) > SECONDS + SECONDS_PER_BYTE * len(data):
        raise Fault(f"{len(data)} bytes take {taken:.1f} seconds")


def _places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:  # noqa: ANN401 - JSON of any form
    """Every (container, key or index) in a JSON value."""
    inner = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    for key, each in inner:
        found.append((value, key))
        _places(each, found)
    return found


def _mutated(data: bytes, most: int, seed: int) -> bytes:
    """`data` with some values of its JSON changed, left out or exchanged; now and then with other bytes, as any."""
    chance = random.Random(seed)  # noqa: S311 - libFuzzer's seed, so that a run can be had again
    try:
        value = strict_json.parse(data)
    except ValueError:
        value = None
    places = _places(value, [])
    if not places or not chance.randrange(8):
        return bytes(atheris.Mutate(data, len(data)))
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        (holder, key), (other, there) = chance.choice(places), chance.choice(places)
        if (isinstance(holder, list) and key >= len(holder)) or (isinstance(holder, dict) and key not in holder):
            continue  # left out before
        was, way = holder[key], chance.randrange(6)
        if way < 3 and isinstance(was, str) and len(was) > 2:
            at = chance.randrange(2, len(was))
            holder[key] = was[:at] + chance.choice("0123456789abcdef") + was[at + (way > 0) :]
        elif way < 4:
            holder[key] = chance.choice(_ODD)
        elif way == 4:
            del holder[key]
        elif there in other if isinstance(other, dict) else there < len(other):
            holder[key] = json.loads(json.dumps(other[there]))
    mutated = json.dumps(value).encode()
    return mutated if len(mutated) <= most else data


def main(name: str, place: str, *flags: str) -> None:
    """Fuzz with `place` as the folder of the corpus, or try the one input in that file; `flags` are libFuzzer's.

    Ends the process, with another status than 0 if something was found.
    """
    target, folder = TARGETS[name](), Path(place)
    for index, data in enumerate((*target.seeds, *target.refused) if folder.is_dir() else ()):
        (folder / f"seed-{index}").write_bytes(data)
        if target.accepts(data) != (index < len(target.seeds)):
            raise Fault(f"{name} judges its own input {index} wrongly")
    mutator = {"custom_mutator": _mutated} if target.is_json else {}
    arguments = [sys.argv[0], place, f"-max_len={LARGEST}", *flags]
    atheris.Setup(arguments, lambda data: _check(target, data), **mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
