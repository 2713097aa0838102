# All of it happens inside the checkout, in .venv/ and .cache/. What a target has to install beside them on a
# fresh machine (Debian) is said in one line before it is done.
#
# Which Consul: CONSUL=/path/to/consul, else that of the PATH, else one that apt unpacks into .cache/.

PYTHON ?= python3
BIN := .venv/bin
# What to add to the command: make demo ARGS="--fault bmc-away", make test ARGS="-k fence", make bench ARGS=--json.
ARGS ?=

# What make test runs: make test TESTS=tests/unit. Whole clouds and all others in lanes of their own (tests/kit/lanes.py).
TESTS ?= tests/unit tests/faults tests/integration
# What meets Consul itself most closely, a cluster in which nothing may happen, and one recovery as a whole.
CONSUL_TESTS := $(addprefix tests/integration/, consul cli checks/test_checks_on_consul.py $(addprefix whole/test_whole_recovery.py::, \
  test_a_healthy_cluster_writes_nothing_and_runs_no_handler test_a_hung_host_ends_with_its_servers_on_an_ha_node))
# All tests on real guests, or those that TESTS names: make test-guests TESTS=tests/guests/test_guests_smoke.py.
GUESTS_TESTS = $(if $(findstring command,$(origin TESTS)),$(TESTS),tests/guests)
# What needs no whole cloud, for whoever changes something.
FAST_TESTS := tests/unit tests/faults/decisions tests/faults/malformed $(addprefix tests/integration/, consul compute checks)
# What make test-on runs in a bare Debian, and which one: make test-on RELEASE=trixie TARGET=demo.
TARGET ?= test
RELEASE ?=
# The commit whose release stands beside this one in make test-upgrade; without it, the last of the version before.
BASE ?=
# How long the soak mixes faults, and the seed that it draws them from: any word; a random one where there is none.
MINUTES ?= 10
SEED ?=

.PHONY: help demo test test-fast test-consul test-on test-openstack test-upgrade test-guests soak lint \
  bench bench-openstack bench-guests unprotected clean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile | expand -t 22

demo: .venv/.product ## rehearse the failure of a compute host on real Consul agents, on this machine alone
	@$(BIN)/python -m nova_ha.sandbox.provide consul
	@$(BIN)/nova-ha sandbox $(ARGS)

test: .venv/.developing ## run the unit tests, and the integration tests on real Consul, sshd and IPMI
	@$(BIN)/python -m nova_ha.sandbox.provide consul sshd ipmi_sim ip
	$(BIN)/pytest -v -n auto $(TESTS) $(ARGS)

test-fast: .venv/.developing ## run what needs no whole cloud; some six minutes
	@$(BIN)/python -m nova_ha.sandbox.provide consul sshd ipmi_sim ip
	$(BIN)/pytest -n auto $(FAST_TESTS) $(ARGS)

test-consul: .venv/.developing ## run what meets Consul most closely on another one: make test-consul CONSUL=/path/to/consul
	@$(BIN)/python -m nova_ha.sandbox.provide consul sshd ipmi_sim ip
	$(BIN)/pytest -v -n auto $(CONSUL_TESTS) $(ARGS)

test-on: ## run a target (test) in a bare Debian of another RELEASE (trixie), made by debootstrap; needs root
	@PYTHONPATH=lib:tests exec $(PYTHON) -B -m on_release '$(RELEASE)' '$(TARGET)' TESTS='$(TESTS)' ARGS='$(ARGS)'

test-upgrade: .venv/.developing ## run HA nodes of two releases side by side: the one before from git, or BASE=<commit>
	@$(BIN)/python -m nova_ha.sandbox.provide consul sshd ipmi_sim ip
	NOVA_HA_OLDER='$(BASE)' $(BIN)/pytest -v tests/upgrade $(ARGS)

test-openstack: .venv/.developing ## run the contract of Nova and the whole product on a real OpenStack; some ten minutes
	@$(BIN)/python -m nova_ha.sandbox.provide consul sshd ipmi_sim ip
	@PYTHONPATH=tests exec $(BIN)/python -m kit.stack run $(BIN)/pytest -v tests/nova $(ARGS)

test-guests: .venv/.developing ## run the whole product on real QEMU guests, judged by their disks; under an hour, as root
	@$(BIN)/python -m nova_ha.sandbox.provide consul sshd ipmi_sim ip
	@PYTHONPATH=tests exec $(BIN)/python -m kit.guests run $(BIN)/pytest -v $(GUESTS_TESTS) $(ARGS)

soak: .venv/.developing ## mix faults at random from a SEED over a whole cloud for MINUTES (10), and audit each round
	@$(BIN)/python -m nova_ha.sandbox.provide consul sshd ipmi_sim ip
	@PYTHONPATH=tests exec $(BIN)/python -m soak --minutes $(MINUTES) --seed '$(SEED)' $(ARGS)

lint: .venv/.developing ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: .venv/.product ## measure detection, recovery and the cost of the checks on this machine; some sixteen minutes
	@$(BIN)/python -m nova_ha.sandbox.provide consul
	@$(BIN)/python -m bench $(ARGS)

bench-openstack: .venv/.developing ## measure recoveries of 5, 20 and 50 servers on that OpenStack; some eight minutes
	@$(BIN)/python -m nova_ha.sandbox.provide consul sshd ipmi_sim ip
	@NOVA_HA_OPENSTACK_SERVERS="5 20 50" PYTHONPATH=tests exec $(BIN)/python -m kit.stack run \
	  $(BIN)/pytest -v tests/nova -k pace $(ARGS)

bench-guests: .venv/.developing ## measure how long 1, 5 and 10 of these guests are away; some half an hour, as root
	@$(BIN)/python -m nova_ha.sandbox.provide consul sshd ipmi_sim ip
	@PYTHONPATH=tests exec $(BIN)/python -m kit.guests run $(BIN)/pytest -v tests/guests/outages.py $(ARGS)

unprotected: .venv/.developing ## see each fault's tests fail without its protection; some minutes, with ARGS=--process half an hour
	@$(BIN)/python -m nova_ha.sandbox.provide consul sshd ipmi_sim ip
	@PYTHONPATH=tests $(BIN)/python -m faults.unprotected $(ARGS)

clean: ## remove all that these targets made in the checkout
	rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist lib/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than Python 3.11: name a newer one, make PYTHON=python3.11" >&2; exit 1; }
	@PYTHONPATH=lib $(PYTHON) -B -m nova_ha.sandbox.provide venv
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.product: .venv/.made setup.cfg pyproject.toml
	@echo "installing nova-ha-monitor and its Python packages into .venv" >&2
	@$(BIN)/pip install -q --disable-pip-version-check -e '.[recovery]'
	@touch $@

.venv/.developing: .venv/.made setup.cfg pyproject.toml
	@echo "installing nova-ha-monitor, its Python packages and those of its tests into .venv" >&2
	@$(BIN)/pip install -q --disable-pip-version-check -e '.[recovery,test]'
	@touch $@ .venv/.product
