"""What code that comes with weights might try; every function gives "done", or why it could not."""

import ctypes
import os
import pathlib
import socket
import subprocess


def tried(action):
    try:
        action()
    except Exception as error:
        return f"refused: {type(error).__name__}: {error}"
    return "done"


def connect(port):
    socket.create_connection(("127.0.0.1", port), timeout=2).close()


def connect_natively(port):
    """The same through the C library, of which Python's own refusals see nothing."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.socket(2, 1, 0)
    address = bytes([2, 0, port >> 8, port & 255, 127, 0, 0, 1]) + bytes(8)
    if handle < 0 or libc.connect(handle, address, 16) != 0:
        raise OSError(ctypes.get_errno(), "connect")


def bind():
    socket.socket().bind(("127.0.0.1", 0))


def resolve():
    socket.getaddrinfo("localhost", 80)


def local_socket():
    socket.socketpair()


def spawn():
    subprocess.run(["true"], check=True)


def shell():
    if os.system("true") != 0:
        raise OSError("no shell")


def shell_natively():
    if ctypes.CDLL(None).system(b"true") != 0:
        raise OSError("no shell")


def fork():
    if os.fork() == 0:
        os._exit(0)


def spawn_by_multiprocessing():
    import multiprocessing.util

    multiprocessing.util.spawnv_passfds(b"/bin/true", [b"true"], [])


def signal_parent():
    os.kill(os.getppid(), 0)


def read_parents_environment():
    pathlib.Path(f"/proc/{os.getppid()}/environ").read_bytes()


def read_natively(path):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.open(os.fsencode(path), os.O_RDONLY) < 0:
        raise OSError(ctypes.get_errno(), "open")


def write(path):
    pathlib.Path(path).write_text("was here")


def write_natively(path):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.open(os.fsencode(path), os.O_WRONLY | os.O_CREAT, 0o600) < 0:
        raise OSError(ctypes.get_errno(), "open")


def everything(job):
    """Try it all; `job` gives a listening port, a folder outside, a file in the home, and a folder to write in."""
    outside = pathlib.Path(job["outside"])
    through_python = {
        "connect": lambda: connect(job["port"]),
        "bind": bind,
        "resolve": resolve,
        "local socket": local_socket,
        "spawn": spawn,
        "shell": shell,
        "fork": fork,
        "spawn by multiprocessing": spawn_by_multiprocessing,
        "signal the parent": signal_parent,
        "read the parent's environment": read_parents_environment,
        "write": lambda: write(outside / "written"),
        "remove": lambda: (outside / "spare").unlink(),
        "rename": lambda: (outside / "kept").rename(outside / "moved"),
        "link": lambda: (outside / "link").symlink_to("elsewhere"),
        "make a folder": lambda: (outside / "folder").mkdir(),
    }
    natively = {
        "connect": lambda: connect_natively(job["port"]),
        "shell": shell_natively,
        "read the parent's environment": lambda: read_natively(f"/proc/{os.getppid()}/environ"),
        "read the home folder": lambda: read_natively(job["secret"]),
        "write": lambda: write_natively(outside / "written natively"),
    }
    return {
        "python": {name: tried(action) for name, action in through_python.items()},
        "native": {name: tried(action) for name, action in natively.items()},
        "allowed": tried(lambda: write(pathlib.Path(job["allowed"]) / "written")),
        "weights": tried(lambda: read_natively(job["weights"])),
        "environment": dict(os.environ),
        "home": str(pathlib.Path.home()),
    }
