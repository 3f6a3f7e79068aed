"""Plans for accounts of model books, under any profile: liquidation, auctions, losses, and what-if.

    plan.plan_liquidation    what to close and seize, where and how much, with its proof
    verify.verify            the same claims, recomputed by whoever is handed a plan
    schedule                 the Dutch auction of an account, and whether a bid is good
    losses.settle            insurance fund, ranked deleveraging, socialised loss; backstop: what is left to them
    what_if.what_if          margin before and after proposed trades, withdrawals and deposits
    terms, account           the terms of plans; an account as changes see it
    files, reading           the accounts of a file, isolated ones too; portfolio_form, pmrm_form, pm1_form: their forms
    proposals                what an owner proposes, and the account after it
    target, legs, amounts, candidates, search   how a plan is found

Must not do I/O. What an account's margin is, its profile alone says: nothing here asks which one it is.
"""
