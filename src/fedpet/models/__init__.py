"""Networks by name from the plan."""
