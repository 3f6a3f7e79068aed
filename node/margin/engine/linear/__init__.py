"""Accounts of balances and perpetuals.

accounts, packing           accounts as arrays, and how books become them
columns, venue_columns      prices, factors and ratios as integers
composition, evaluate       `ltv`, `compound`, `cross`: what fills their columns, and the evaluation
venue                       the evaluation under rules that depend on sizes; `dydx`, `drift`, `mango`, `synthetix` are
such rules on arrays, by the names that they have in node.margin.models
blocks, levels              accounts a block at a time; equity and requirement at each threshold, statuses
incremental                 linear accounts again and again, where few can have crossed a threshold
"""
