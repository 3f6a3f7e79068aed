"""Verifiers of what chains commit to: pure functions from untrusted bytes and JSON to proven values.

Owns keccak, canonical RLP, Merkle-Patricia proofs, execution headers, receipts, EIP-1186 answers and the
storage slots of Solidity. What does not hold raises a `ProofError`. Must not know I/O, clocks, randomness,
endpoints, or what the proven values are worth.
"""
