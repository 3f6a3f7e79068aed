"""Portfolios under the moves of a scan: the worst of them decides.

`accounts` and `scan` are what `span` and `grids` share: a frame under its moves, accounts of it, worst losses, deltas.
"""
