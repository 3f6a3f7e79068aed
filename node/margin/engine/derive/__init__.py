"""Derive's margins: `sm` (standard), `pm1` and `pm2` (portfolio; `pm2_frame` is its market under every scenario).

`options`, `rows` and `book` are what the portfolio margins share: marks by expiry, scenarios of accounts, bounds.
"""
