"""The agent's side of calls: accepting, answering and cleaning up after them."""
