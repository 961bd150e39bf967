"""How processes talk: framing without IO, typed messages, one multiplexed connection, TLS.

Everyone meets here: masters, workers and clients import this package and not one another.
"""
