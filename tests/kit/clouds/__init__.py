"""Clouds to do harm to: of fakes, of real processes, with a simulated Nova and with a real one."""
