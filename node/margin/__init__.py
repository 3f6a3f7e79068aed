"""Health of an account as a pure function of ledger, frame and policy."""
