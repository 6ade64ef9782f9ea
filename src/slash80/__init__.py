"""slash80: a CNI plugin that gives every pod a public IPv6 and an IPv4, without overlay and closed by default."""

__version__ = "0.1.0"
