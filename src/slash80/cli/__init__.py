"""Commands for people. By argparse, which is there: the frozen engine starts for each and pays for imports."""
