"""The simulator keeps the contract that the real Nova keeps."""

from test_nova_contract import *  # noqa: F403
