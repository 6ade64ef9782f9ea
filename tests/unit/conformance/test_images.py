"""The image that the specs run in pods."""

from conformance.images import _links, wanted


def test_image_stands_for_those_that_the_specs_name() -> None:
    """Every version that is asked for is a name of ours; images of other registries and purposes are not."""
    listed = [
        "registry.k8s.io/e2e-test-images/agnhost:2.56",
        "gcr.io/k8s-authenticated-test/agnhost:2.6",
        "registry.k8s.io/e2e-test-images/nginx:1.14-4",
        "registry.k8s.io/e2e-test-images/nginx:1.15-4",
        "registry.k8s.io/e2e-test-images/agnhost-of-another-kind:1",
        "registry.k8s.io/e2e-test-images/volume/nfs:1.4",
    ]

    assert [listed[0], listed[2], listed[3]] == wanted(listed)


def test_programs_of_debian_come_before_those_of_busybox() -> None:
    """A name leads to Debian's program where both have one, and no program is a link to itself."""
    links = _links(["nc", "seq", "ip"])

    assert ("/bin/nc.openbsd", "/bin/busybox", "/bin/dash") == (links["/bin/nc"], links["/bin/seq"], links["/bin/sh"])
    assert "/bin/ip" not in links
