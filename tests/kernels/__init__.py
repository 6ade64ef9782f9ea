"""Other kernels: Debian's, booted in QEMU with the machine's own programs, and the netns tier's stories told there."""
