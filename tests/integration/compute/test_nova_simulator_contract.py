"""The simulator keeps the contract that the real Nova keeps."""

from kit.nova_contract import *  # noqa: F403
