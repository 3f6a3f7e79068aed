"""`hypothec proof`: check chain proofs that were saved to files, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Check chain proofs in files.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Check chain proofs in files."""


@app.command()
def verify(
    kind: Annotated[str, typer.Argument(help="eip1186, header, receipts, sync-committee or output-root.")],
    file: Annotated[Path, typer.Argument(help="A file of JSON in the form of its kind.", dir_okay=False)],
) -> None:
    """Print the proven values as JSON, or the reason why the file proves nothing (exit status 1).

    What is proven absent is proven: exit status 0. The files, where BLOCK is what eth_getBlockByNumber gives:

    \b
    eip1186   {"header": BLOCK, "proof": what eth_getProof gives}
    header    BLOCK
    receipts  {"header": BLOCK, "receipts": what eth_getBlockReceipts gives},
              or one receipt's proof: {"proof": nodes, "receipt_index": N}
              and, if you like, "header": BLOCK (without it the result is under
              the root of the first node), "block_hash", "receipt", "log_index"
              and "log", in hexadecimal of their RLP
    output-root
              {"header": the rollup's BLOCK, "proof": what eth_getProof gives
              for 0x4200000000000000000000000000000000000016 there, which may
              be left out since Isthmus}, or {"output": what
              optimism_outputAtBlock gives}, or both; and, if you like,
              "output_root", the one that was posted
    sync-committee
              {"bootstrap": …, "updates": …, "finality_update": …,
              "optimistic_update": …} as the Beacon API gives them, of which
              only the first is required; and, if you like,
              "trusted_root": the bootstrap's, or its own counts;
              "now": Unix seconds, so that nothing old or of the future counts;
              "config": mainnet, sepolia or {"genesis_time",
                "genesis_validators_root", "genesis_fork_version",
                "forks": {"altair": {"epoch", "version"}, …}} and, where they
                are not mainnet's, "seconds_per_slot", "slots_per_epoch",
                "epochs_per_sync_committee_period", "sync_committee_size";
              "store": a LightClientStore that was kept, for "bootstrap"
    """  # noqa: D301 - the mark of lines that are kept as they are
    from chains.proofs.verify import verify_file
    from node.cli.files import read_json
    from node.cli.shown import print_json

    print_json(verify_file(kind, read_json(file)))
