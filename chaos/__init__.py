"""Chaos: real processes, real faults, a recorded history, and checkers that know nothing of the product.

`control` starts and hurts a cluster, `network` cuts its links, `traffic` uses it, `faults` say what
happens when, `history` writes everything down. `model` and `checkers` judge the history alone, and
`report` shows it to people. Nothing here may import `titan.fsm`: what judges must not share the code
that it judges. Commands and questions are therefore spelled out on the wire (`client`).
"""
