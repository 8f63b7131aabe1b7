"""Ways to carry requests to nodes and replies back."""
