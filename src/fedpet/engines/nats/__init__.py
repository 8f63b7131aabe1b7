"""Requests and replies between machines, over NATS JetStream: the only room that imports `nats`.

```
experiment -> engine.exchange -> ask letters (durable)  -> link at the site -> the node's door
                  model chunks (published once, pulled by all)       |
experiment <- engine.exchange <- answer letters (durable) <----------+  heartbeats beside it
```
The broker between them is not trusted: every letter is signed by its author and bound to its
federation, its reader and the question that it belongs to; every chunk is named by its hash.
"""
