"""Links between masters that can be cut one way and slowed down.

`plain` has none of it, `namespaces` needs root on Linux, `proxy` works everywhere.
"""
