"""Margin models as rule functions and data.

    profiles.PROFILES, profiles.evaluate_file  the models by name, and a file's accounts under one
    profile.composed                           a model from rules and their parameters
    book                                       the portfolio file, and what it becomes
    derive_pm2, derive_pm1                     Derive's portfolio margins, which read files of their own formats
    hypothec                                   ours, the default: every part of a margin, jointly
    derive_sm, dydx, drift, mango, synthetix   rules of other venues, one a function, next to their formulas
    lending, cross                             Aave's and Compound's; cross margin in its plain form
    span, grids, shocks                        scan-based models, and the moves that they share
    auction                                    what the bidder of a Dutch auction pays, and what is left
    market, interest                           what a file says of an asset; what a debt has become
    pricing, svi, surface                      options and their volatilities
    fixed, fields, errors                      exact numbers, JSON read field by field, what is wrong with it

What an account has and owes is exact integers, rounded against it. Marks and volatilities are reproducible floats, made
for instruments and turned into integers before they meet an account. Must not do I/O, and must not know the network's
accounts: a model reads a portfolio with its market and answers.
"""
