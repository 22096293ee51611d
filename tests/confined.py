"""A process whose connections fail as a sandbox lets them fail: by seccomp, which needs no privilege."""

from __future__ import annotations

import errno

CONNECT_FAILS = """
import ctypes, platform, struct
connect = {{"x86_64": 42, "aarch64": 203}}[platform.machine()]
code = [(0x20, 0, 0, 0), (0x15, 0, 1, connect), (0x06, 0, 0, 0x00050000 | {errno}), (0x06, 0, 0, 0x7FFF0000)]
steps = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in code))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(steps))
assert libc.prctl(22, 2, ctypes.create_string_buffer(program), 0, 0) == 0
"""
NOT_PERMITTED = CONNECT_FAILS.format(errno=errno.EPERM)
"""Let seccomp answer every connect of this process with EPERM: load, compare, ERRNO|EPERM, ALLOW."""
DENIED = CONNECT_FAILS.format(errno=errno.EACCES)
"""The same with EACCES, as SELinux and Landlock answer."""
