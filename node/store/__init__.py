"""What a node must not lose: its journal, the certified state, bodies it has answered for, transactions under way.

`ports` says what a store owes the node, `sqlite` is the one that needs nothing installed. Everything is durable when
the awaited call returns. Must not know what a record means beyond its key.
"""
