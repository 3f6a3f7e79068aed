"""A chain that exists only in memory: the template for new adapters, and the double that other tests follow.

A new kind of chain is a folder with these file names: `endpoint` (where raw data comes from) and `adapter` (what may
be believed, as `chains.adapter` demands), `errors` and `pool` when there are several endpoints to judge, and one entry
in `chains.registry`. Its adapter then has to pass `tests/conformance/adapters`.
"""
