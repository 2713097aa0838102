"""`nova-ha completion`: the completion script of a shell."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of SHELL: commands, options, and the names of nodes.

    \b
      nova-ha completion bash > /etc/bash_completion.d/nova-ha
      nova-ha completion zsh > ~/.zfunc/_nova-ha
      nova-ha completion fish > ~/.config/fish/completions/nova-ha.fish
    """
    from click.shell_completion import get_completion_class

    from nova_ha.cli.root import root

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(root, {}, "nova-ha", "_NOVA_HA_COMPLETE").source())
