"""All tests: an assertion within the kit says what it compared, as one in a test does."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("kit")
