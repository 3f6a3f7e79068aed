"""Vectorised evaluation of many accounts, equal to the rules in `node.margin.models` bit for bit.

Each module does for its models what their rules do, and leaves to the rules what its arithmetic does not hold. Must not
do I/O, and must not know where accounts come from.
"""
