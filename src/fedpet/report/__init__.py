"""Results to one self-contained page, and to a model card.

`page.render` and `card.render` take the results document (JSON values only) and return text.
Nothing here computes a statistic: every number shown is one of the document, rounded once.
"""
