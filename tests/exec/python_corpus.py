"""Scripts whose every visible effect must be the same in a fork of a warm Python and in a new one.

Each prints what a job could look at. Process ids, addresses and times are left out by the scripts
themselves; `test_warm_python.py` runs them both ways and compares bytes and exit codes.
"""

# ruff: noqa: E501 - a short script is easier to read in one line than broken
from __future__ import annotations

from typing import Final

_ARGV: Final = r"""
import sys, os
print([os.fsencode(a) for a in sys.argv[1:]], os.path.basename(sys.argv[0]), len(sys.orig_argv))
print(os.path.basename(sys.executable), sys.orig_argv[0] == sys.executable)
"""

_MAIN: Final = r"""
import sys
main = sys.modules["__main__"]
print(main.__dict__ is globals(), __name__, __doc__, __package__, __spec__, __cached__)
print(type(__loader__).__name__, __loader__.name, __builtins__, __annotations__)
print([name for name in dir() if name not in ("sys", "main")], list(globals())[:9])
print(repr(main).replace(__file__, "FILE"))
x: int = 3
print(__annotations__)
if __name__ == "__main__":
    print("as main")
"""

_ENV: Final = r"""
import os
for k, v in os.environ.items(): print(repr(k), repr(v))
print(os.environb[b"ODD"], os.getenv("TITAN_PADDING"))
os.environ["NEW"] = "1"; del os.environ["ODD"]
print(os.popen("echo $NEW $ODD; env | grep -c .").read())
"""

_PICKLE: Final = r"""
import multiprocessing as mp, sys
class Point:
    def __init__(self, x): self.x = x
def double(point): return Point(point.x * 2)
if __name__ == "__main__":
    for how in ("fork", "spawn", "forkserver"):
        with mp.get_context(how).Pool(1) as pool:
            print(how, [p.x for p in pool.map(double, [Point(1), Point(2)])], flush=True)
"""

_INTERNALS: Final = r"""
import sys, gc, signal
print(sys.flags, sys.warnoptions, sys._xoptions, sys.getrecursionlimit(), gc.get_threshold())
print(gc.isenabled(), sys.getswitchinterval(), sys.getfilesystemencoding(), sys.path[1:])
print([signal.getsignal(n) for n in (1, 2, 13, 15, 17, 25)], sys.gettrace(), sys.getprofile())
print(sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__, sys.dont_write_bytecode)
print(sorted(sys.modules) == SAME if (SAME := None) else sorted(m for m in sys.modules if "titan" in m))
print(sys.implementation.name, sys.prefix == sys.base_prefix, sys.meta_path, sys.path_hooks[0])
print([m for m in ("typing", "re", "json", "socket", "asyncio", "threading") if m in sys.modules])
"""

_STREAMS: Final = r"""
import sys, os
for s in (sys.stdin, sys.stdout, sys.stderr):
    print(repr(s), s.encoding, s.errors, s.line_buffering, s.write_through, s.isatty(), s.mode, s.name)
    print(type(s.buffer), s.fileno(), s.newlines, s.buffer.name, s.closed)
print(sys.__stdout__ is sys.stdout, repr(sys.stdin.read()), os.isatty(0))
"""

_EXCEPTHOOK: Final = r"""
import sys, traceback
def hook(kind, value, tb):
    print("hook", kind, [f.name for f in traceback.extract_tb(tb)])
sys.excepthook = hook
def f(): raise OSError(3, "no")
f()
"""

_ASYNCIO: Final = r"""
import asyncio, sys
async def main():
    p = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(5)", stdout=-1)
    print(await p.communicate(), p.returncode, await asyncio.to_thread(lambda: 7))
    await asyncio.gather(*(asyncio.sleep(0) for _ in range(9)))
asyncio.run(main())
"""

_MASK: Final = r"""
import signal, os, resource
print(signal.pthread_sigmask(signal.SIG_BLOCK, []), os.umask(0), resource.getrlimit(7))
lines = open("/proc/self/status").read().splitlines()
print([x for x in lines if x.startswith(("SigBlk", "SigIgn", "SigCgt", "Seccomp", "NoNewPrivs"))])
print(os.getsid(0) == os.getpgrp() == os.getpid(), os.getpriority(0, 0), os.getppid() > 1)
print(sorted(os.listdir("/proc/self/fd")), os.open("/dev/null", 0))
print([os.path.basename(os.readlink(f"/proc/self/fd/{n}")).split(".")[-1] for n in (0, 1, 2)])
"""

SCRIPTS: Final[dict[str, str | bytes]] = {
    "nothing": "",
    "hello": "print('hello')",
    "exit none": "import sys; sys.exit()",
    "exit number": "import sys; sys.exit(7)",
    "exit large number": "import sys; sys.exit(300)",
    "exit negative": "import sys; sys.exit(-3)",
    "exit text": "import sys; sys.exit('bad news')",
    "exit tuple": "import sys; sys.exit((1, 'x'))",
    "exit true": "raise SystemExit(True)",
    "exit of builtins": "exit(5)",
    "os exit": "import os; print('x'); os._exit(9)",
    "exit in a thread": "import threading, sys\nt = threading.Thread(target=lambda: sys.exit(4))\nt.start(); t.join(); print('on')",
    "exception": "def f():\n    1/0\nf()",
    "exception in one line": "1/0",
    "chained": "def f():\n    raise KeyError('k')\ntry:\n    f()\nexcept KeyError as e:\n    raise ValueError('v') from e",
    "context": "try:\n    1/0\nexcept ZeroDivisionError:\n    {}['x']",
    "notes and groups": "e = ExceptionGroup('g', [ValueError(1), TypeError(2)])\ne.add_note('n')\nraise e",
    "name with suggestion": "value = 1\nprint(valu)",
    "syntax error": "print('before')\ndef f(:\n  pass",
    "indentation error": "if 1:\nprint(2)",
    "unclosed": "print((1,",
    "not utf-8": b"print('\xff')",
    "null byte": b"print('a')\x00",
    "latin cookie": b"# -*- coding: latin-1 -*-\nprint('\xe9')",
    "byte order mark": b"\xef\xbb\xbfprint(__doc__)",
    "carriage returns": b"'''a\r\nb'''\r\nprint(repr(__doc__))\r\n",
    "syntax warning": "x = 3\nif x is 3: print('3')\nassert (x, 'y')",
    "warning then syntax error": "x = 3\nif x is 3: pass\ndef (",
    "recursion": "def f(): f()\ntry:\n    f()\nexcept RecursionError as e:\n    print(e)",
    "exception hook": _EXCEPTHOOK,
    "hook that fails": "import sys\nsys.excepthook = lambda *a: 1/0\nraise OSError",
    "keyboard interrupt": "raise KeyboardInterrupt('why')",
    "base exception": "class E(BaseException): pass\nraise E(2)",
    "unprintable": "class E(Exception):\n    def __str__(self): raise OSError\nraise E",
    "argv": _ARGV,
    "environment": _ENV,
    "folder": "import os, sys\nprint(os.getcwd() == sys.path[0] == os.path.dirname(__file__), open('data').read())",
    "sibling": "import sibling\nprint(sibling.VALUE, sibling.__file__.endswith('/sibling.py'))\nsibling.fail()",
    "main": _MAIN,
    "future does not leak": "def f(x: 1 + 1): pass\nprint(f.__annotations__)",
    "multiprocessing": _PICKLE,
    "process pool": "from concurrent.futures import ProcessPoolExecutor as P\ndef f(n): return n * n\nif __name__ == '__main__':\n    with P(2) as p: print(list(p.map(f, range(4))))",
    "thread left": "import threading, time\ndef f():\n    time.sleep(0.1); print('late')\nthreading.Thread(target=f).start(); print('end')",
    "daemon thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start(); print('end')",
    "thread fails": "import threading\ndef f(): 1/0\nt = threading.Thread(target=f, name='T'); t.start(); t.join(); print('on')",
    "main thread": "import threading\nt = threading.current_thread()\nprint(t is threading.main_thread(), t.name, threading.active_count())",
    "atexit": "import atexit\n@atexit.register\ndef a():\n    print('a', '__file__' in globals())\n@atexit.register\ndef b(): 1/0\nprint('main')",
    "atexit after failure": "import atexit\natexit.register(print, 'bye')\nraise ValueError",
    "destructors": "class D:\n    def __del__(self): print('gone')\nd = D()\nd.me = d\nf = open('out', 'w'); f.write('kept')\nimport atexit, os\nprint('end')",
    "unflushed file": "import os\nf = open('o2', 'w'); f.write('text')\nif os.fork() == 0: os._exit(0)\nos.wait(); print(os.path.getsize('o2'))",
    "killed": "import os, signal; print('x'); os.kill(os.getpid(), signal.SIGKILL)",
    "terminated": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "interrupted": "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT); time.sleep(9)",
    "aborted": "import os; os.abort()",
    "segmentation fault": "import faulthandler; faulthandler.enable()\nimport os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
    "broken pipe": "import os\nr, w = os.pipe(); os.close(r)\nos.write(w, b'x')",
    "handler": "import os, signal\nsignal.signal(signal.SIGUSR1, lambda *a: print('got', a[0]))\nos.kill(os.getpid(), signal.SIGUSR1)",
    "streams": _STREAMS,
    "order of streams": "import sys, os\nprint('1'); print('2', file=sys.stderr); os.write(1, b'3\\n'); os.system('echo 4'); print('5', end='')",
    "closed stdout": "import sys; sys.stdout.close(); sys.exit(2)",
    "descriptor one closed": "import os; os.close(1); print('x')",
    "fork": "import os\nif os.fork() == 0:\n    print('child'); raise SystemExit(3)\nprint(os.waitstatus_to_exitcode(os.wait()[1]))",
    "asyncio": _ASYNCIO,
    "subprocess": "import subprocess, sys\nprint(subprocess.run(['cat'], input=b'in', capture_output=True))\nprint(subprocess.run([sys.executable, '-c', 'import sys; print(sys.flags, sys.argv)']).returncode)",
    "process facts": _MASK,
    "interpreter facts": _INTERNALS,
    "rusage": "import resource as r\nprint(r.getrusage(r.RUSAGE_CHILDREN).ru_utime == 0, r.getrusage(r.RUSAGE_SELF).ru_utime < 5)",
    "locale": "import locale, time\nprint(locale.setlocale(locale.LC_ALL), locale.getpreferredencoding(), locale.getlocale(), time.tzname)",
    "warnings": "import warnings\nwarnings.warn('w'); warnings.warn('d', DeprecationWarning)\nprint(len(warnings.filters))\nfor _ in 'ab': warnings.warn('once')",
    "resource warning": "open('data')\nprint('x')",
    "temporary files": "import tempfile, os\nwith tempfile.TemporaryDirectory() as d: print(os.path.dirname(d) == tempfile.gettempdir(), tempfile.gettempdir() == os.environ['TMPDIR'])",
    "source of itself": "import inspect, sys\ndef f():\n    return 1  # here\nprint(inspect.getsource(f), inspect.getsourcefile(f) == __file__)\nprint(inspect.getmodule(f))".replace("print(inspect.getmodule(f))", "print(inspect.getmodule(f) is sys.modules['__main__'])"),
    "deleted folder": "import os, shutil\nshutil.rmtree(os.getcwd())\ntry: os.getcwd()\nexcept OSError as e: print(e)",
    "huge output": "for n in range(60000): print(n, 'x' * 20)",
    "unicode": "print('\\u2603 \\U0001f600', ascii('\\udcff'))\nprint('\\udcff')",
    "random": "import random, uuid, os, secrets, ssl\nprint(random.random() != random.Random(0).random(), len(os.urandom(4)), len(ssl.RAND_bytes(3)))\nrandom.seed(5); print(random.random())",
    "input": "input('name? ')",
    "runpy": "import runpy\nprint(runpy.run_path('sibling.py')['VALUE'])",
    "dataclasses and typing": "from __future__ import annotations\nimport dataclasses, typing\n@dataclasses.dataclass\nclass A:\n    x: int\nprint(A(1), typing.get_type_hints(A), A.__module__)",
    "pickle": "import pickle\nclass A: pass\nprint(pickle.dumps(A))",
    "logging": "import logging\nlogging.warning('careful'); logging.getLogger('a').error('e')",
    "sitecustomize": "import site, sys; print(site.ENABLE_USER_SITE, 'sitecustomize' in sys.modules)",
    "setrecursionlimit": "import sys; sys.setrecursionlimit(5000); f = lambda n: n and f(n - 1); print(f(4000))",
    "trace": "import sys\ndef t(f, e, a): print(e, f.f_code.co_name); return t\ndef g(): return 2\nsys.settrace(t); g(); sys.settrace(None)",
}  # fmt: skip

ARGS: Final = (
    b"plain",
    b"",
    b"a b|c;$HOME",
    b"\xff\xfe",
    "\u2603".encode(),
    b"line\nbreak",
    b"-u",
    b"--",
)
