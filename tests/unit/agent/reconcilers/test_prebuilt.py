"""What the controller has built before the agent's processes are forked."""

import sys

from lab import programs

SCRIPT = """
import sys
from slash80.agent.reconcilers import controller
from slash80.settings.cluster import ClusterSettings
print(ClusterSettings.__pydantic_complete__, "encodings.idna" in sys.modules)
from slash80.agent.reconcilers.prebuilt import prebuild
prebuild()
print(ClusterSettings.__pydantic_complete__, "encodings.idna" in sys.modules)
"""


def test_a_cluster_that_is_alone_loads_nothing_for_others() -> None:
    """What reads a clusterset takes 0.6 MiB, which an agent without one keeps."""
    script = "import sys, slash80.agent.reconcilers.controller; print('slash80.settings.clusterset' in sys.modules)"
    assert "False\n" == programs.run([sys.executable, "-c", script])


def test_validators_and_codec_are_built_before_the_fork() -> None:
    """The settings' validators and the codec of server names, which nothing has built before, are there afterwards."""
    assert "False False\nTrue True\n" == programs.run([sys.executable, "-c", SCRIPT])
