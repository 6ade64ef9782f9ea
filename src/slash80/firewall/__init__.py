"""The node's firewall for pods: plain settings become one nft table, which is put in place as a whole and kept."""
