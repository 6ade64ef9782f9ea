"""The node's firewall for pods: plain settings become one nft table, put in place at once and kept."""
