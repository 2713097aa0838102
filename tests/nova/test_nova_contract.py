"""The real Nova keeps the contract that the simulator keeps too."""

from kit.nova_contract import *  # noqa: F403
