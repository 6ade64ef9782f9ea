"""Of mutation testing: the faults, and which tests are chosen for one."""
