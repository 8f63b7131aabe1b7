"""The hospital's side; gate.py is the only door."""
