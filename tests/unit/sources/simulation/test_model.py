"""The figures of the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from peerwatch.sources.simulation.model import DAY, HOUR, Model, figures

PAGE = Path(__file__).parents[4] / "docs/simulation.md"


def test_every_figure_has_unit_meaning_and_source() -> None:
    """No figure without saying where it comes from; sentences end in a full stop."""
    for name, (value, figure) in figures().items():
        assert figure.unit, name
        assert figure.doc.endswith("."), name
        assert len(figure.source) > 8, name
        assert getattr(Model(), name) == value


def test_the_page_lists_every_figure() -> None:
    """docs/simulation.md has a row with default, unit, meaning and source of each."""
    page = PAGE.read_text(encoding="utf-8")
    missing = [n for n, (v, f) in figures().items() if f"| `{n}` | {v:g} | {f.unit} | {f.doc} | {f.source} |" not in page]

    assert missing == []


def test_the_day_averages_out() -> None:
    """Night and day are a quarter below and above the average, which they leave as it is."""
    swing = np.array([Model().swing(h * HOUR // 4) for h in range(96)])

    assert abs(swing.mean() - 1) < 1e-9
    assert swing.max() == pytest.approx(1.25)
    assert Model().swing(5 * DAY + 15 * HOUR) == pytest.approx(1.25)


def test_load_scales_the_node_and_not_its_peers() -> None:
    """Twice the load is twice the slots, peers and arrivals; what limits one connection stays."""
    loaded = Model().loaded(2)

    assert (loaded.inbound_slots, loaded.arrivals_per_min, loaded.warm_inbound) == (228, 6.0, 190)
    assert (loaded.inv_target, loaded.addr_rate_high, loaded.ping_s) == (35, 0.025, 120.0)
    with pytest.raises(ValueError, match="positive"):
        Model().loaded(0)
