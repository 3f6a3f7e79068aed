"""Accounts of the network, judged by the profile `hypothec`.

    market      what one state's frame says, as the profile takes it: feeds, volatilities, expiries; units, made once
    book        an account of the ledger as a portfolio of the profile
    rules       what the network asks: health, withdrawals, what is owed, premiums
    distance    how far an account is from being liquidatable: whom a move of the market cannot have touched

What an account comes to is the profile's (node.margin.models.hypothec), bit for bit what it comes to when it is written
as a portfolio file. What secures it, what its owner let a venue claim and how old an input may be are the network's own
rules, as under any others. Must not know requests or plans.
"""
