"""The test laboratory: a small internet of network namespaces, and what it takes to call the plugin in it.

`namespaces` makes and enters namespaces, `topology` builds the site, `plugin` calls the plugin as a runtime
does, `rig` ties the two together, `probes` and `attacker` send packets, `snapshot` and `state` look at what
is there. Nothing here imports slash80, except `plugin.InProcess` at its first call.
"""
