"""The service hypothec.v1, one module an audience."""
