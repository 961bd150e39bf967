"""Judges of a history. Each takes a `History` and answers `Violation`s; none looks at a live cluster."""
