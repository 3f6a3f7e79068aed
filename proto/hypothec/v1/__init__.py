"""Generated messages and services of hypothec.v1; run python -m tools.proto to regenerate."""
