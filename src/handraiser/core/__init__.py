"""What we know and decide: no I/O, no await, no clock, no randomness."""
