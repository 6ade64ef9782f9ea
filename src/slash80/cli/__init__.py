"""Commands for people. By argparse: the frozen engine starts anew for each of them, and typer would cost 80 ms."""
