"""nftables through libnftables in this process: a batch costs half of what starting `nft` costs.

A batch is one transaction in the namespace of the calling thread: all of it or a FabricError and nothing.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import threading
from functools import cache
from typing import Any

from .namespaces import FabricError

_lock = threading.Lock()  # the library keeps parser state that two threads must not share


@cache
def _library() -> Any:
    name = ctypes.util.find_library("nftables") or "libnftables.so.1"
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        raise FabricError("the library libnftables is not installed (package libnftables1)") from error
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
    library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    for function in ("nft_ctx_free", "nft_ctx_buffer_output", "nft_ctx_buffer_error", "nft_ctx_get_output_buffer",
                     "nft_ctx_get_error_buffer"):
        getattr(library, function).argtypes = [ctypes.c_void_p]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library


def _run(text: str) -> tuple[int, str, str]:
    library = _library()
    with _lock:
        context = library.nft_ctx_new(0)
        try:
            library.nft_ctx_buffer_output(context)
            library.nft_ctx_buffer_error(context)
            status = library.nft_run_cmd_from_buffer(context, text.encode())
            output = (library.nft_ctx_get_output_buffer(context) or b"").decode(errors="replace")
            errors = (library.nft_ctx_get_error_buffer(context) or b"").decode(errors="replace")
        finally:
            library.nft_ctx_free(context)
    return status, output, errors


def batch(lines: list[str]) -> None:
    """Every line in one transaction."""
    if not lines:
        return
    if any("\n" in line or "%" in line for line in lines):  # whoever made it has not looked at what a user wrote
        raise FabricError("a line for nftables holds what no line of ours does")
    status, _output, errors = _run("\n".join(lines) + "\n")
    if status != 0:
        raise FabricError(f"nftables refused a batch: {' '.join(errors.split())[:600]}")


def listing(command: str) -> str:
    """What a `list` command prints; empty when the table does not exist."""
    status, output, _errors = _run(command)
    return output if status == 0 else ""


def has_table(family: str, table: str) -> bool:
    return f"table {family} {table}" in listing(f"list tables {family}").splitlines()
