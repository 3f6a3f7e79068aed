"""The real light client data among the shared vectors, as the light client takes it."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from chains.proofs.lightclient import read
from chains.proofs.lightclient.config import MAINNET, BeaconConfig, Fork, fork_schedule
from chains.proofs.lightclient.containers import Bootstrap, Update
from chains.types import Hash32, UnixSeconds
from tests.shared import shared
from tests.vectors.proofs import ssz_files

Json = dict[str, Any]
MINIMAL_COMMITTEE = 32


@cache
def load(name: str) -> Any:  # noqa: ANN401 - JSON of any form
    path = shared("vectors/proofs/lightclient") / name
    return yaml.safe_load(path.read_text()) if path.suffix == ".yaml" else json.loads(path.read_text())


def hash32(text: str) -> Hash32:
    return Hash32(bytes.fromhex(text.removeprefix("0x")))


def end_of(config: BeaconConfig, update: Update) -> UnixSeconds:
    """A time at which `update` is fresh."""
    return UnixSeconds(config.time(update.signature_slot) + config.seconds_per_slot)


def helios() -> tuple[Bootstrap, list[Update], Update, Update]:
    """Mainnet under Capella: bootstrap, updates of its period and five later ones, finality and optimistic update."""
    bootstrap, updates, finality, optimistic = (
        load(f"helios_mainnet_capella/{name}.json") for name in ("bootstrap", "updates", "finality", "optimistic")
    )
    return read.bootstrap(bootstrap), [*map(read.update, updates)], read.update(finality), read.update(optimistic)


def portal(name: str) -> bytes:
    """A mainnet object under Deneb, in SSZ, without the fork digest before it."""
    value = load(f"portal_mainnet_deneb/{name}.yaml")["content_value"]
    return bytes.fromhex(value.removeprefix("0x"))[4:]


def portal_objects() -> tuple[Bootstrap, Update, Update]:
    """Bootstrap, finality update and optimistic update of mainnet under Deneb, of different times."""
    size = MAINNET.committee_size
    return (
        read.bootstrap(ssz_files.bootstrap(portal("bootstrap"), Fork.DENEB, size)),
        read.update(ssz_files.finality_update(portal("finality_update"), Fork.DENEB, size)),
        read.update(ssz_files.optimistic_update(portal("optimistic_update"), size)),
    )


def minimal(genesis_validators_root: str, versions: dict[str, tuple[int, str]], genesis_version: str) -> BeaconConfig:
    """A network of the minimal preset."""
    return BeaconConfig(
        name="minimal",
        genesis_time=UnixSeconds(1_578_009_900),
        genesis_validators_root=hash32(genesis_validators_root),
        genesis_version=hash32(genesis_version),
        forks=fork_schedule({name: (epoch, hash32(version)) for name, (epoch, version) in versions.items()}),
        seconds_per_slot=6,
        slots_per_epoch=8,
        epochs_per_period=8,
        committee_size=MINIMAL_COMMITTEE,
    )


class SyncCase:
    """One `light_client/sync` case of consensus-spec-tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.fork = Fork[folder.parent.name.upper()]
        self.meta: Json = yaml.safe_load((folder / "meta.yaml").read_text())
        self.steps: list[Json] = yaml.safe_load((folder / "steps.yaml").read_text())
        config: Json = yaml.safe_load((folder / "config.yaml").read_text())
        names = [fork.name for fork in Fork if f"{fork.name}_FORK_EPOCH" in config]
        self.config = minimal(
            self.meta["genesis_validators_root"],
            {name: (config[f"{name}_FORK_EPOCH"], f"{config[f'{name}_FORK_VERSION']:08x}") for name in names},
            f"{config['GENESIS_FORK_VERSION']:08x}",
        )

    def bootstrap(self) -> Bootstrap:
        return read.bootstrap(ssz_files.bootstrap(self._content("bootstrap"), self.fork, MINIMAL_COMMITTEE))

    def update(self, name: str) -> Update:
        return read.update(ssz_files.update(self._content(name), self.fork, MINIMAL_COMMITTEE))

    def _content(self, name: str) -> bytes:
        return ssz_files.unsnap((self._folder / f"{name}.ssz_snappy").read_bytes())


def sync_cases() -> Iterator[tuple[str, SyncCase]]:
    folder = shared("vectors/proofs/lightclient/consensus-spec-tests_minimal")
    for path in sorted(folder.glob("*/*")):
        yield f"{path.parent.name}-{path.name}", SyncCase(path)


def eureka() -> Iterator[Json]:
    """What a relayer sent to a minimal Electra chain's client, in its order."""
    file = load("eureka_minimal_electra/Test_MultiPeriodClientUpdateToCosmos.json")
    text = bytes.fromhex(file["steps"][1]["data"]["relayer_tx_body"]).decode("latin-1")
    at = text.find('{"active_sync_committee"')
    while at >= 0:
        found, at = json.JSONDecoder().raw_decode(text, at)
        yield found
        at = text.find('{"active_sync_committee"', at)
