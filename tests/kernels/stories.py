"""Which tests of the netns tier are run on every kernel, and in which shapes of the plugin.

In an emulated machine Python is fifty times as slow. So most stories run with the engine inside the test's process,
which asks the kernel the same; what ships, the launcher and the agent, has those of a pod's whole life.
"""

from __future__ import annotations

_ENGINE = ("inprocess",)
_BOTH = ("inprocess", "served")
_SHIPPED = ("frozen", "served")

STORIES: dict[str, tuple[str, ...]] = {
    "test_lifecycle.py::test_duplicate_add_is_refused": _ENGINE,
    "test_lifecycle.py::test_second_interface_has_no_default_route": _ENGINE,
    "test_lifecycle.py::test_del_leaves_nothing": _ENGINE,
    "test_lifecycle.py::test_container_can_be_added_again_after_del": _SHIPPED,
    "test_check.py::test_check_passes_right_after_add": _ENGINE,
    "test_check.py::test_check_finds": _ENGINE,
    "test_reach.py::test_first_packet_to_a_new_pod": _BOTH,
    "test_reach.py::test_first_packet_of_a_new_pod": _ENGINE,
    "test_reach.py::test_first_ipv6_packet_to_the_internet": _ENGINE,
    "test_reach.py::test_first_ipv4_packet_to_the_internet": _ENGINE,
    "test_reach.py::test_ipv4_is_not_masqueraded_when_switched_off": _ENGINE,
    "test_reach.py::test_node_reaches_its_pod_from_its_own_address": _ENGINE,
    "test_reach.py::test_pod_reaches_its_node_from_its_own_address": _ENGINE,
    "test_reach.py::test_internet_does_not_reach_a_pod": _ENGINE,
    "test_reach.py::test_large_transfer_over_a_narrow_path": _ENGINE,
    "test_reach.py::test_first_packet_while_namespaces_go_away": _ENGINE,
    "test_closed.py::test_pod_is_closed_before_during_and_after_its_life": _BOTH,
    "test_closed.py::test_next_add_restores_a_damaged_firewall": _ENGINE,
    "test_closed.py::test_trusted_prefixes_reach_pods": _ENGINE,
    "test_closed.py::test_pod_cannot_send_from_a_foreign_address": _ENGINE,
    "attacks/test_gateway_address.py::test_the_gateway_is_on_the_links_of_pods_only": _ENGINE,
    "attacks/test_exposed_ports.py::test_a_range_of_ports_ends_where_it_says": _ENGINE,
    "attacks/test_exposed_ports.py::test_ports_of_every_pod_are_open_by_the_settings": _ENGINE,
    "attacks/test_metadata.py::test_a_pod_reaches_no_metadata_service": _ENGINE,
    "attacks/test_pod_to_node.py::test_a_pod_reaches_the_listed_ports_of_its_node_by_every_address": _ENGINE,
    # Before Linux 6.2 a chain is in use for a moment after the last element that led to it was deleted.
    "policies/test_table.py::test_a_new_chain_takes_the_place_of_an_old_one": _ENGINE,
    "policies/test_table.py::test_the_rules_are_written_again_in_the_same_table": _ENGINE,
    "test_rewriting.py::test_a_table_with_other_settings_is_as_one_that_was_made_with_them": _ENGINE,
    "policies/test_table.py::test_an_interface_gets_its_verdict_by_netlink_alone": _ENGINE,
    "policies/test_table.py::test_whether_a_table_is_taken_is_asked_without_changing_it": _ENGINE,
    "policies/test_verdicts.py::test_a_peer_is_let_in_and_another_pod_is_not": _ENGINE,
    "policies/test_revoke.py::test_a_connection_to_the_outside_ends": _ENGINE,
    "test_replay.py::test_default_route_can_be_replayed_without_flags": _ENGINE,
    "test_replay.py::test_interfaces_of_a_pod_come_and_go": _ENGINE,
    "test_host_ports.py::test_a_host_port_leads_to_the_pod_from_everywhere": _ENGINE,
    "test_host_ports.py::test_udp_that_began_before_the_mapping_is_led_to_the_pod": _ENGINE,
    "test_services.py::test_nodeport_is_open_and_clusterip_closed_on_this_node": _ENGINE,
    "test_node.py::test_advertised_default_route_survives_forwarding": _ENGINE,
    "test_node.py::test_forwarding_node_still_follows_its_router": _ENGINE,
    "test_node.py::test_pod_with_ipv6_disabled_gets_ipv6": _ENGINE,
    "test_node.py::test_host_end_has_no_address_but_the_gateways": _ENGINE,
    "test_node.py::test_discard_route_covers_each_prefix": _ENGINE,
    "test_kernel.py::test_each_end_has_one_queue": _ENGINE,
    "test_kernel.py::test_ends_have_different_indexes": _ENGINE,
    "test_kernel.py::test_next_holder_of_an_address_inherits_no_connection": _ENGINE,
    "test_foreign.py::test_interface_name_taken_in_the_pod": _ENGINE,
    "test_foreign.py::test_foreign_route_to_a_requested_address": _ENGINE,
    "test_disk.py::test_damaged_store_is_read_back_from_the_kernel": _ENGINE,
    "test_collect.py::test_gc_of_everything_leaves_a_clean_node": _ENGINE,
    "test_storm.py::test_many_pods_at_once": ("served",),
}


def name_of(nodeid: str) -> str:
    """Return what a test is called here: its file and function."""
    return nodeid.rpartition("netns/")[2].partition("[")[0]


def shapes_of(story: str) -> tuple[str, ...]:
    """Return the shapes in which a story is told."""
    return STORIES.get(story, ())
