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
    file: Annotated[Path, typer.Argument(help="JSON as an endpoint gave it.", dir_okay=False)],
) -> None:
    """Print the proven values as JSON, or the reason why the file proves nothing (exit status 1)."""
    from chains import strict_json
    from chains.errors import LimitError, MalformedProof
    from chains.proofs.verify import verify_file
    from node.cli.shown import print_json

    if (size := file.stat().st_size) > _MAX_BYTES:
        raise LimitError("give a smaller file", path=file, length=size, bound=_MAX_BYTES)
    try:
        data = strict_json.parse(file.read_bytes())
    except ValueError as error:
        raise MalformedProof(f"give a file that holds JSON: {error}", path=file) from error
    print_json(verify_file(kind, data))


_MAX_BYTES = 64 << 20
