"""Set up what a command needs, then become that command. Runs on any Python 3, so that an old one gets a sentence.

Only the standard library, and no syntax newer than Python 3.6.
"""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time

NEEDED = (3, 11)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "bin", "python")
FIRST_WORLD_PORT = 8900
LAST_PORT = 65535


class Stop(Exception):
    """The set-up can't go on; the text says why and what to do, in one sentence."""


def say(text):
    print(text, flush=True)


def check_python():
    if sys.version_info[:2] >= NEEDED:
        return
    newer = [name for name in ("python3.14", "python3.13", "python3.12", "python3.11") if _runs(name)]
    advice = "make {} PYTHON={}".format(sys.argv[1], newer[0]) if newer else "install a newer one"
    raise Stop("The portal needs Python 3.11 or newer and this is {}.{}: {}.".format(*sys.version_info[:2], advice))


def _runs(name):
    path = shutil.which(name)
    if path is None:
        return False
    return subprocess.call([path, "-c", ""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def check_folder(path, variable=None):
    """Make `path` if need be, and be sure that files can be made in it."""
    probe = os.path.join(path, ".probe-{}".format(os.getpid()))
    try:
        os.makedirs(path, exist_ok=True)
        with open(probe, "w"):
            pass
        os.remove(probe)
    except OSError as error:
        advice = "set {} to a folder that can be written".format(variable) if variable else "copy the project elsewhere"
        raise Stop("{} can't be written ({}): {}.".format(path, error.strerror, advice)) from None


def port_is_free(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def check_ports():
    """Refuse a taken port before anything is set up; give the demo world the next free one."""
    host, text = os.environ.get("HOST", "127.0.0.1"), os.environ.get("PORT", "8000")
    if not text.isdigit() or not 0 < int(text) <= LAST_PORT:
        raise Stop("PORT is {!r}: it must be a number from 1 to 65535.".format(text))
    if not port_is_free(host, int(text)):
        raise Stop(
            "Port {} on {} is taken: choose another one, as in PORT={} make run.".format(
                text, host, int(text) % LAST_PORT + 1
            )
        )
    if "WORLD_URL" not in os.environ:
        ports = [n for n in range(FIRST_WORLD_PORT, FIRST_WORLD_PORT + 50) if n != int(text)]
        free = next((n for n in ports if port_is_free("127.0.0.1", n)), ports[0])
        os.environ["WORLD_URL"] = "http://127.0.0.1:{}".format(free)


def run_step(title, command, quiet=True):
    """Run `command`, show how long it took; on failure show what it said."""
    started = time.time()
    print("  {} …".format(title), end="", flush=True)
    environ = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1", UV_NO_PROGRESS="1", PYTHONUTF8="1")
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output = wait_with_dots(process)
    except KeyboardInterrupt:
        process.kill()
        raise
    print(" {:.1f} s".format(time.time() - started), flush=True)
    if process.returncode != 0 and not quiet:
        sys.stderr.write(output[-4000:])
    return process.returncode == 0, output


def wait_with_dots(process):
    """What the process writes; a dot each two seconds shows that it still works."""
    while True:
        try:
            return process.communicate(timeout=2)[0].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            print(".", end="", flush=True)


def stamp_of(lock):
    """What a finished installation of `lock` is recognised by."""
    found = hashlib.sha256("{}.{}|{}|".format(sys.version_info[0], sys.version_info[1], ROOT).encode())
    for name in ("uv.txt", lock):
        with open(os.path.join(ROOT, "requirements", name), "rb") as file:
            found.update(file.read())
    return found.hexdigest()


def is_installed(lock):
    try:
        with open(os.path.join(VENV, "." + lock + ".stamp")) as file:
            return file.read() == stamp_of(lock) and os.access(VENV_PYTHON, os.X_OK)
    except OSError:
        return False


def install(lock):
    """Bring `.venv` to `requirements/<lock>`; returns at once when that was done before."""
    if is_installed(lock):
        return
    check_folder(ROOT)
    say("Setting up (once; later starts are quick):")
    if not os.access(VENV_PYTHON, os.X_OK) or not _venv_is_ours():
        make_venv()
    install_packages(os.path.join("requirements", lock))
    with open(os.path.join(VENV, "." + lock + ".stamp"), "w") as file:
        file.write(stamp_of(lock))


def _venv_is_ours():
    """Whether the environment runs, with this Python's version."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        found = subprocess.check_output([VENV_PYTHON, "-c", code], stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return False
    return found.decode().strip() == "{}.{}".format(*sys.version_info[:2])


def make_venv():
    try:
        import ensurepip  # noqa: F401  # Debian splits it from Python
        import venv  # noqa: F401  # the same
    except ImportError:
        raise Stop(
            "This Python has no venv module: install it (on Debian and Ubuntu: apt install python3-venv)."
        ) from None
    done, output = run_step("making .venv", [sys.executable, "-m", "venv", "--clear", VENV])
    if not done:
        raise Stop("The environment .venv can't be made: {}".format(output.strip().splitlines()[-1:]))


def install_packages(requirements):
    """Install with uv, which is fast; with pip where uv can't be had or fails. Hashes are checked by both."""
    pip = [VENV_PYTHON, "-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:"]
    got_uv, _ = run_step("getting uv", [*pip, "-r", os.path.join("requirements", "uv.txt")])
    if got_uv:
        os.environ.setdefault("UV_NATIVE_TLS", "1")
        os.environ.setdefault("UV_HTTP_TIMEOUT", "120")
        uv = [
            VENV_PYTHON,
            "-m",
            "uv",
            "pip",
            "install",
            "--python",
            VENV_PYTHON,
            "--require-hashes",
            "-r",
            requirements,
        ]
        if run_step("installing packages", uv)[0]:
            return
        say("  uv could not do it; trying pip.")
    pip = [VENV_PYTHON, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", requirements]
    if not run_step("installing packages with pip", pip, quiet=False)[0]:
        raise Stop("The packages can't be installed: see above, and check the network.")


def become(*command):
    """Replace this process, so that signals reach the command itself."""
    sys.stdout.flush()
    os.chdir(ROOT)
    os.execv(VENV_PYTHON, [VENV_PYTHON, *command])  # noqa: S606  # our own program, and no shell is wanted


def main(arguments):
    command, rest = arguments[0], arguments[1:]
    check_python()
    os.environ["PYTHONUTF8"] = "1"
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):  # every process would start in twice the time
        os.environ["PYTHONPYCACHEPREFIX"] = os.path.join(ROOT, "build", "bytecode")
    if command == "run":
        check_folder(os.environ.get("DATA_DIR") or os.path.join(ROOT, "data"), "DATA_DIR")
        check_ports()
        install("run.txt")
        os.environ.setdefault("DEMO", "1")
        become("manage.py", "portal")
    install("dev.txt")
    become(os.path.join("scripts", "develop.py"), command, *rest)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Stop as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit("Stopped.")
