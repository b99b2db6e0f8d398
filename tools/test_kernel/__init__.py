"""Boots kernels that Debian ships in a virtual machine and runs the kernel tests inside (`make test-kernel`)."""
