"""A simulated beacon chain over a real execution chain, with a small real committee: light client data for testnets.

Files: `chain` (states, bodies and signatures), `blocks` (the execution blocks under it), `server` (the Beacon API, and
the lies it tells on demand), `start` (how a testnet has one). What it serves is light client data and nothing else:
there are no validators, no attestations and no fork choice behind it, and its form is pinned by the answers of real
nodes.
"""
