"""Why a connection is let in or not: the base firewall and NetworkPolicy, a step and a sentence each; pure."""
