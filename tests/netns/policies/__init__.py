"""NetworkPolicies as packets meet them."""
