"""USDT: a node traced from inside by eBPF."""
