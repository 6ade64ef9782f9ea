"""Netlink without pyroute2's own sockets: the socket, reading and writing messages, and templates of them."""
