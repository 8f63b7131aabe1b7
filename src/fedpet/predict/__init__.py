"""One subject, at its own hospital: the risk, how sure it is, and what it rests on.

What is made here is about one person and stays in the hospital.
"""
