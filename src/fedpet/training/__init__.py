"""One site, one round: everything a node computes on its own subjects."""
