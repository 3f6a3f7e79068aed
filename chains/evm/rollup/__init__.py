"""What an L1 has settled of a rollup that is followed as an EVM chain of its own.

Owns the questions to the L1 (`claims`), what has to be captured before endpoints forget it (`captured`), and the
comparison with what the rollup's endpoints serve (`settlement`). Must not know what the rollup's state is worth.
Nothing here makes a fact of the rollup more or less assured: a value counts as ATTESTED at the newest agreed cut, long
before L1 has settled it, and what is settled is published beside it.
"""
