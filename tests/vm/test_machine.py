"""A boot is repeated only for a fault that is the emulator's."""

from __future__ import annotations

import pytest

from tools.test_kernel.machine import EMULATOR_FAULT


@pytest.mark.parametrize(
    "line",
    ["[    1.318853] Oops: int3: 0000 [#2] SMP NOPTI", "[    0.912345] int3: 0000 [#1] PREEMPT SMP NOPTI"],
)
def test_a_kernel_that_met_its_own_breakpoint(line: str) -> None:
    """Old and new kernels' words for it are known."""
    assert EMULATOR_FAULT.search(line)


@pytest.mark.parametrize(
    "line",
    [
        "[    9.1] BUG: kernel NULL pointer dereference, address: 0000000000000010",
        "[    9.1] Oops: 0000 [#1] PREEMPT SMP NOPTI",
        "[    9.1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000000",
        "traps: peerwatch-playe[186] trap int3 ip:0 sp:0 error:0",
    ],
)
def test_any_other_crash_counts(line: str) -> None:
    """A crash that could be due to what is tested is not tried again."""
    assert not EMULATOR_FAULT.search(line)
