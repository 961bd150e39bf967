"""Titan's side of the cases: three durable masters, one worker with two slots, defaults only."""
