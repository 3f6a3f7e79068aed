"""Vectorised evaluation of very many accounts, equal to the rules of `node.margin.models` bit for bit.

    linear.evaluate(accounts, prices)   linear accounts at every threshold of their profile
    hypothec.prepared, .evaluate        accounts of the profile `hypothec`: both ends, both thresholds, the status
    incremental.Watch                   the same, again and again, where few accounts can have crossed a threshold
    accounts, columns, composition      what these take: legs as arrays, prices and factors as integers, the profiles
    derive_pm2, hypothec, grids, span   portfolios with options under the models of these names
    scan, scan_accounts                 what those share that look for the worst of some moves
    portfolio, table                    what all of them share: a frame's instruments, accounts as sparse rows

What the integers of an array cannot hold is evaluated by the rules themselves, account by account; what cannot be
evaluated at all is a typed error of that account, and stops no other. Pure, like the models. Must not know the
network's accounts, or where prices come from.
"""
