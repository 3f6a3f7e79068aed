"""The node: agreement on collateral facts, the margin state that follows from them, and those who use it."""
