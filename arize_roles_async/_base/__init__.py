"""The attempts of a call, one by one."""
