"""Churn: several processes that add, remove, check and collect at once, are killed, and are held against a model.

`world` makes the node and names all attachments, `operations` chooses what to do, `worker` does it and writes down what
came of it, `rounds` forks, kills and gathers, `model` says which outcomes are possible, `audit` looks whether kernel
and store agree, `churn` repeats rounds, `instants` kills the frozen plugin at random instants.
"""
