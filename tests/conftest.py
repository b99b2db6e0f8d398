"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

# Speed is for benchmarks: on a busy machine a deadline fails at random.
settings.register_profile("peerwatch", deadline=None)
settings.load_profile("peerwatch")
