"""Vectorised evaluation of very many accounts, equal to the rules of `node.margin.models` bit for bit.

    linear/     balances and perpetuals: ltv, compound, cross; venues' own rules: dydx, drift, mango, synthetix;
                `incremental` keeps statuses as prices move, where few can have crossed a threshold
    scanning/   options under the moves of a scan: span, and the grids (deribit-like, paradex-like)
    derive/     Derive's margins: sm, pm1, pm2
    hypothec/   the default profile
    table, portfolio    what the last three share: a frame's instruments, accounts as sparse rows of them, exact sums

What the integers of an array cannot hold is evaluated by the rules themselves, account by account; what cannot be
evaluated at all is a typed error of that account, and stops no other. Pure, like the models. Must not know the
network's accounts, or where prices come from.
"""
