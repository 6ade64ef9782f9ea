"""The chains of the firewall's table, one file each, judged by the packets that they let through."""
