"""What all tests share: no property has a deadline for its examples, since a busy machine is no defect."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("titan", deadline=None)
settings.load_profile("titan")
