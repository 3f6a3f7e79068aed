"""Ethereum's light client at work: what beacon nodes serve, verified by `chains.proofs.lightclient` and kept on disk.

Files: `questions` (what is asked of one beacon node), `client` (what is believed, and how it is kept up to date),
`kept` (the file), `errors`. Must not know execution blocks beyond the hash of the final one.
"""
