"""The public Python package of Hypothec: the wire format (v1) and the verifying client."""
