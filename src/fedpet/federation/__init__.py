"""Rounds between sites; knows no patient."""
