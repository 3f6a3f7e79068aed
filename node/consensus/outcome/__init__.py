"""The replicated state machine: what nodes observe, and how the next margin state follows from it. Pure.

Start reading at `transition.derive`.
"""
