"""Chains and price sources: only verified values leave this package. It never imports the node."""
