"""NetworkPolicy for tests of every tier: upstream's cases as data, and what packets do by compiled rules."""
