"""What an L1 has settled of a rollup, from proofs of the L1's storage: claims, and the finality class of each.

Owns the rules by which a claim counts (`games`, `oracle`, `assertions`) and where each version of the contracts keeps
what they need (`layout`). Pure. Must not know how storage was proven, or which L1 header is to be trusted.
"""
