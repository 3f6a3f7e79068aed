"""Ethereum's sync-committee light client: which beacon headers, and which execution blocks under them, are final.

Owns the protocol of consensus-specs, `specs/{altair,capella,deneb,electra,gloas}/light-client/sync-protocol.md`, as
pure functions: `store` states the rules, `containers` the values and their roots, `config` the networks and forks,
`bls` the signature, `read` the JSON of the Beacon API. Must not know endpoints, clocks or disks: time is an argument.
"""
