"""Margin models as rule functions and data.

Must not do I/O, and must not know the network's accounts: a model reads a portfolio with its market and answers.
"""
