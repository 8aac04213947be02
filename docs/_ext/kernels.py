"""Kernels that are forked from one process, which has imported what the pages need.

A page has a kernel of its own, and each would import jax, jaxrec and Matplotlib in three seconds of a core. So one
process imports them, before JAX has started a thread, and forks for every kernel. Jupyter starts `join`, which asks for
the fork and lives as long as it does. Where there is no `fork` that is safe, as on macOS, kernels start as ever.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading

NEEDED = (
    "ipykernel.kernelapp",
    "matplotlib.pyplot",
    "matplotlib_inline.backend_inline",
    "optax",
    "pandas",
    "scipy.optimize",
)
_LENGTH = 65_536  # of a message: two paths


def start(folder: pathlib.Path) -> None:
    """Start the process that forks, which ends with this one, and tell Jupyter of it.

    Args:
      folder: Jupyter's, of `JUPYTER_PATH`, where it looks first.
    """
    spec = folder / "kernels" / "python3" / "kernel.json"
    if not sys.platform.startswith("linux"):
        spec.unlink(missing_ok=True)
        return
    door, far = socket.socketpair()
    os.set_inheritable(far.fileno(), True)
    address = f"\0jaxrec-docs-{os.getpid()}"  # abstract: there is no file to remove
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)  # kernels may ask before all is imported
    subprocess.Popen(
        [sys.executable, __file__, "serve", str(listener.fileno()), str(far.fileno())],
        pass_fds=[listener.fileno(), far.fileno()],
    )
    far.close()
    listener.close()
    _KEPT.append(door)
    spec.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-S", "-E", __file__, "join", address[1:], "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": command, "display_name": "Python 3", "language": "python"}), encoding="utf-8")


_KEPT: list[socket.socket] = []
"""The end of a pair that closes with this process and those that it forks."""


def serve(listener: socket.socket, owner: socket.socket) -> None:
    """Import what is needed, and fork for each call until the owner ends."""
    import gc
    import importlib
    import select

    os.environ["JPY_PARENT_PID"] = str(os.getpid())  # read by what is imported: a kernel ends with its parent
    import jaxrec

    for name in (*jaxrec.__all__, *NEEDED):
        _ = getattr(jaxrec, name, None) or importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a fork does not copy what nobody writes
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    while owner not in select.select([listener, owner], [], [])[0]:
        call, _ = listener.accept()
        message, streams, _, _ = socket.recv_fds(call, _LENGTH, 3)
        if os.fork() == 0:
            listener.close()
            owner.close()
            for place, stream in enumerate(streams):
                os.dup2(stream, place)
                os.close(stream)
            run(call, **json.loads(message))
            os._exit(0)
        call.close()
        for stream in streams:
            os.close(stream)


def run(call: socket.socket, folder: str, options: list[str]) -> None:
    """Be a kernel, as long as the one who asked for it lives."""
    from ipykernel.kernelapp import launch_new_instance

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # pages start processes of their own
    os.setsid()
    os.chdir(folder)
    sys.path[0] = ""
    threading.Thread(target=lambda: (call.recv(1), os._exit(1)), daemon=True).start()
    launch_new_instance(argv=options)


def join(address: str, *options: str) -> None:
    """Ask for a fork with the streams of this process, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Jupyter interrupts a kernel before it asks it to end
    call = socket.socket(socket.AF_UNIX)
    call.connect("\0" + address)
    message = json.dumps({"folder": os.getcwd(), "options": options}).encode()
    socket.send_fds(call, [message], [0, 1, 2])
    call.recv(1)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(*(socket.socket(fileno=int(number)) for number in sys.argv[2:]))
    else:
        join(*sys.argv[2:])
