"""Statistics over all sites, asked one after the other: describe, curves, Cox, performance.

Every statistic is a generator over an `Execution` that yields records and returns a result. It
asks with `fedpet.federation.statistics.question.inquire`, which names the step after the digest
of the question: what was asked before is answered from the journal.
"""
