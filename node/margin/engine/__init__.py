"""Vectorised evaluation of very many accounts, equal to the rules of `node.margin.models` bit for bit.

Each model has its engine:

    ltv, compound, cross                linear.evaluate, over the columns that `composition` fills for each
    dydx, drift, mango, synthetix       the modules of these names: rules on arrays, side by side; venue.evaluate
    span, grids, hypothec, derive_sm,   the modules of these names: portfolios with options
    derive_pm1, derive_pm2

And what they are made of:

    accounts, packing                   balances and perpetuals as arrays, and how books become them
    columns, venue_columns              prices, factors and ratios as integers
    blocks, levels                      accounts a block at a time; equity and requirement at each threshold, statuses
    incremental.Watch                   linear accounts again and again, where few can have crossed a threshold
    portfolio, table                    a frame's instruments, accounts as sparse rows of options
    scan, scan_accounts                 what span and grids share: the worst of some moves, deltas
    derive_options, _rows, _book        what derive_pm1 and derive_pm2 share: scenarios by expiry, accounts, bounds

What the integers of an array cannot hold is evaluated by the rules themselves, account by account; what cannot be
evaluated at all is a typed error of that account, and stops no other. Pure, like the models. Must not know the
network's accounts, or where prices come from.
"""
