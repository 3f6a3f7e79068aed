"""Figures of this machine, by the command `hypothec bench`. Nothing here is part of a node."""
