"""The live link: a worker that renders for compositing hosts, and what speaks with it.

- `protocol`: the messages (docs/protocol.md), `transport`: sockets and shared memory, `client`: how
  to find or start a worker and ask it. Standard library only, for hosts' own Pythons.
- `server`, `jobs`, `serving`: the worker itself.

Nothing is imported here, so that the first three stay light.
"""
