"""Whose word Nova's name of a node is: fault 48."""

from __future__ import annotations

from faults.unprotected.removal import Edit, Removal, removal

NODE = "lib/nova_ha/cluster/node.py"
RIVALS = "lib/nova_ha/cluster/rivals.py"
VIEW = "lib/nova_ha/cluster/view.py"

REMOVALS: tuple[Removal, ...] = (
    removal(
        48,
        "what an operator has said is not overruled by the node",
        Edit(
            NODE,
            "            return None if same_name(self.nova_word, said) else Cause.NAME_DIFFERS\n",
            "            return None\n",
        ),
        Edit(
            NODE,
            "self.name_doubt else self.nova_word or self.runtime.nova_host",
            "self.name_doubt else self.runtime.nova_host",
        ),
        tests="test_fault_tokens.py::test_the_name_of_an_unregistered_host_evacuates_nobody",
    ),
    removal(
        48,
        "without a word only the node's own name is believed",
        Edit(NODE, "        if not is_own_name(self.name, said):\n", "        if False:\n"),
        Edit(RIVALS, "if is_own_name(node.name, other)} - {host}\n", "if False}\n"),
        tests=(
            "test_fault_tokens.py::test_the_name_of_an_unregistered_host_evacuates_nobody",
            "test_fault_tokens.py::test_a_node_of_which_nobody_knows_novas_name_is_said_before_it_fails",
        ),
    ),
    removal(
        48,
        "without a word a name that may be another node's is not believed",
        Edit(
            RIVALS,
            "    return replace(node, rivals=tuple(sorted(rivals - {node.name})))\n",
            "    return node\n",
        ),
        tests="cluster/test_cluster_nova_names.py::test_a_name_that_may_be_another_nodes_is_not_believed_without_a_word",
    ),
    removal(
        48,
        "without a word a name of which Nova has two with different domains is not believed",
        Edit(
            RIVALS,
            "    return {other for other in hosts if is_own_name(node.name, other)} - {host}\n",
            "    return set()\n",
        ),
        tests="recovery/test_recovery_names.py::test_of_two_hosts_with_its_name_in_other_domains_none_is_chosen",
    ),
    removal(
        48,
        "what a node says of itself takes no other node out",
        Edit(
            VIEW,
            '        if node.nova_word:\n            yield "Nova host", node.nova_word,',
            '        if node.runtime:\n            yield "Nova host", node.runtime.nova_host,',
        ),
        tests="test_fault_tokens.py::test_another_nodes_name_takes_only_the_writer_out",
    ),
    removal(
        48,
        "what its token can write registers nobody",
        Edit(VIEW, "        if registered(name, entries)\n", ""),
        tests="test_fault_tokens.py::test_what_its_token_can_write_registers_nobody",
    ),
)
