"""The profile `hypothec`: one margin over all that an account holds and owes, on several chains and at several venues.

    profile       PROFILE: what a file becomes, and what is shown of it
    defaults      the parameters, as data
    parameters    … and their reading; assets, scenarios: kinds, groups and issuers; rows and what they move
    feeds         what prices may be; haircuts: what is held back of collateral
    counted       a unit of collateral and of a debt; positions: of a perpetual, a future, an option
    portfolio     an account with its feeds; parts: what its parts come to
    margin        what rows, limits and the shortfall leave of it; shortfall: the formula
    breakdown     a result as components, for JSON and for people
    reverse       the nearest moves that would liquidate it; replays: what happened, as moves

An account fails when its worst row does: every row moves all underlyings at once, so positions on different ones offset
each other as far as no row moves them apart. Each is made once a frame for a unit of each instrument; an account is
then a sum of units, and the rows, limits and thresholds of sums.

A portfolio file has, beside what node.margin.models.book says (all of it optional):

    market       `low` and `high`, between which the price may be (or else price·(1 ± (1 − `confidence`))); `status`:
                 FRESH, STALE, FROZEN, DISPUTED or MISSING (which needs no price); `age` in seconds; `vol` a year's and
                 `vol_spread`, by which part options' vols may be wrong; `depth`, what its market takes, in USD
    accounts     positions name a `venue` of `venues`: {name: {"limit", "cash", "seized", "acknowledged"}}, what the
                 owner authorised it to claim at most, the account's cash there, and what was seized for it and what of
                 that its reports show. Positions without a venue are the account's own
                 `isolated`: accounts by `name` that stand alone: nothing of them counts elsewhere
                 collateral has `assurance` (PROVEN, ATTESTED, REPORTED), `finality` (FINAL, SAFE, PENDING) and `chain`
                 (LIVE, STALE, DISPUTED, HALTED), and may hold an asset once for each of their combinations
    parameters   defaults.py has them all; scenarios.py says what a row may have

For example:

    {"market": {"BTC":    {"price": 60000, "low": 59950, "high": 60040, "age": 3, "vol": 0.5, "depth": 4e8,
                           "expiries": [{"seconds": 2592000, "forward": 60300, "vol": 0.55}], "vol_spread": 0.02},
                "ETH":    {"price": 3000, "confidence": 0.999},
                "WSTETH": {"price": 3560, "redemption": {"asset": "ETH", "rate": 1.2}},
                "FTT":    {"price": 22, "status": "FROZEN", "age": 900},
                "USDC":   {"price": 1}},
     "parameters": {"issuers": {"ftx": {"assets": ["FTT"], "venues": ["ftx"], "factor": 0.05}}},
     "accounts": [{"account": "alice",
                   "cash": 1000,
                   "collateral": [{"asset": "WSTETH", "amount": 10, "assurance": "PROVEN"},
                                  {"asset": "USDC", "amount": 20000, "assurance": "ATTESTED", "finality": "SAFE"},
                                  {"asset": "FTT", "amount": 100}],
                   "venues": {"dex": {"limit": 25000, "cash": -150, "seized": 500, "acknowledged": 200},
                              "ftx": {"limit": 5000}},
                   "perpetuals": [{"asset": "ETH", "amount": -9, "entry_price": 3100, "venue": "dex"}],
                   "options": [{"asset": "BTC", "seconds": 2592000, "strike": 66000, "call": true, "amount": -0.2,
                                "venue": "ftx"}],
                   "isolated": [{"name": "punt", "cash": 200,
                                 "perpetuals": [{"asset": "BTC", "amount": 0.01, "entry_price": 61000}]}]}]}

Must not do I/O, and must not know the network's accounts.
"""
