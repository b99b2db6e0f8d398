"""Bounded, mergeable building blocks of detectors. Pure."""
