"""A child process that computes with a researcher's code: no network, no file but its own."""
