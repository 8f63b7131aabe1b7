"""The secure sum `fedpet-sa/1`: the coordinator learns a sum over sites and no single summand.

State machines without input or output; start reading at `site` (what a node does) and
`collector` (what the coordinator does). docs/concepts/secure-sum.md tells the protocol in words.
"""
