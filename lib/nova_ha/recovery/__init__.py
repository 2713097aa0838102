"""The recovery of a failed node: claim, fence, force down, evacuate, finish, and the node's return."""
