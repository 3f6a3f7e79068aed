"""What an adapter keeps on disk for its own next start: a file that only the holder of a secret can make.

Owns the file's form, its bound, and the code over all that it holds. Must not know what that is. Whatever is read back
is input: what its reader can prove anew it should, and the code binds the rest.
"""

from __future__ import annotations

import hmac
import json
import os
from pathlib import Path
from typing import Final

from chains import strict_json
from chains.errors import ProofError
from chains.proofs import parse

_VERSION: Final = 1


class SealedFile:
    """The JSON file at `path`, of at most `most` bytes, sealed with `secret` in this `context`.

    The context says what kind of file it is and whose: one of another context is refused.
    """

    def __init__(self, path: Path, secret: bytes, context: bytes, most: int) -> None:
        self.path = path
        self._secret = secret
        self._context = context
        self._most = most

    def load(self) -> object:
        """What was saved; None if there is no file. Raises ValueError that says why what is there is refused."""
        try:
            with self.path.open("rb") as file:
                text = file.read(self._most + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ValueError(f"it cannot be read: {error.strerror}") from error
        if len(text) > self._most:
            raise ValueError(f"it is longer than {self._most} bytes")
        try:
            fields = parse.mapping(strict_json.parse(text), "file")
            if fields.get("version") != _VERSION:
                raise ValueError("it is of another version")
            seal = parse.hash32(fields.get("seal"), "seal")
        except ProofError as error:
            raise ValueError(str(error)) from error
        content = fields.get("content")
        if not hmac.compare_digest(seal, self._seal(content)):
            raise ValueError("its seal is not that of this node over what it holds")
        return content

    def save(self, content: object) -> None:
        """Replace the file; whenever this is interrupted, one of the two is there, whole. Raises OSError."""
        fresh = self.path.with_name(self.path.name + ".new")
        whole = {"version": _VERSION, "content": content, "seal": "0x" + self._seal(content).hex()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("wb") as file:
            file.write(_encoded(whole))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # or a power failure could undo the renaming
        finally:
            os.close(folder)

    def _seal(self, content: object) -> bytes:
        context = len(self._context).to_bytes(4, "big") + self._context
        return hmac.digest(self._secret, b"hypothec/sealed-file/v1" + context + _encoded(content), "sha256")


def _encoded(content: object) -> bytes:
    """The one form of a JSON value."""
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
