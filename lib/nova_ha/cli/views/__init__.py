"""What the commands show: values made from values, under the name of the command that shows them."""
