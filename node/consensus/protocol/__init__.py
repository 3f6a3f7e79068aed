"""The agreement core after OCR3: pure, deterministic, sans-I/O.

`Core.handle(event, now)` takes what happened and gives back what to do. Payloads of observations are opaque bytes here
and an outcome is an opaque 32-byte digest: nothing in this package may know what the nodes agree on.
"""
