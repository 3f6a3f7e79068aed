"""The default profile.

`frame` has units as columns and accounts as sparse rows of them, `sums` their exact sums, `rows` what rows, limits and
the shortfall leave of those; `evaluate` puts them together.
"""
