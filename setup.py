"""Build the compiled modules.

Every module is plain Python; those with an augmenting .pxd beside them are compiled by Cython,
and the same sources run uncompiled.  Either all of them are compiled or none: compiled modules
share C types, so a half-compiled package would not import.  Environment:

  H2O_OTEL_PURE=1            build no extensions (a pure wheel)
  H2O_OTEL_REQUIRE_CYTHON=1  fail where the modules cannot be compiled, instead of going pure
  H2O_OTEL_CHECKED=1         abort on any access outside its buffer (see h2o_otel/_mem.pxd)
  H2O_OTEL_SANITIZE=1        build with AddressSanitizer
"""

import copy
import hashlib
import importlib.metadata
import json
import multiprocessing
import os
import re
import runpy
import shutil
import sys
import tempfile
import time
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# Compiled modules by the hash of everything that went into them.  Modification times lie (a
# checkout or a copy changes them), and a stale module would silently shadow an edited source.
CACHE = ROOT / "build" / "cache"

PURE = os.environ.get("H2O_OTEL_PURE") == "1"
REQUIRED = os.environ.get("H2O_OTEL_REQUIRE_CYTHON") == "1"
CHECKED = os.environ.get("H2O_OTEL_CHECKED") == "1"
SANITIZED = os.environ.get("H2O_OTEL_SANITIZE") == "1"

CIMPORT = re.compile(r"^from (\.+)([\w.]*) cimport (.+)$", re.MULTILINE)

COMPILE_FLAGS = ["-O2", "-fno-strict-aliasing", "-Wno-unused-function", "-Wno-unused-const-variable", "-Wno-unreachable-code"]
COMPILE_FLAGS += ["-fsanitize=address", "-fno-omit-frame-pointer", "-g1"] if SANITIZED else ["-g0"]
COMPILE_FLAGS += ["-DH2O_OTEL_CHECKED=1"] if CHECKED else []
LINK_FLAGS = ["-fsanitize=address"] if SANITIZED else []
DIRECTIVES = {
    "language_level": 3,
    # Annotations of plain Python do not fit the C signatures of the .pxd files ("Signature not
    # compatible with previous declaration"); the types come from the .pxd alone.
    "annotation_typing": False,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "nonecheck": False,
    "cdivision": True,
    "embedsignature": True,
}


def say(text: str) -> None:
    print(f"h2o-otel: {text}", flush=True)


def compiled_modules() -> list[str]:
    """The modules that are compiled: those with an augmenting .pxd, except the inline helpers."""
    found = sorted(p.with_suffix("") for p in (ROOT / "h2o_otel").rglob("*.pxd") if p.with_suffix(".py").exists())
    return [".".join(p.relative_to(ROOT).parts) for p in found if p.name != "_mem"]


def source_of(module: str) -> str:
    return module.replace(".", "/") + ".py"


def headers_of(source: Path) -> set[Path]:
    """The .pxd files that compiling ``source`` reads: its own, and whatever is cimported from there on."""
    found: set[Path] = set()
    ahead = [source.with_suffix(".pxd")]
    while ahead:
        header = ahead.pop()
        if header in found:
            continue
        found.add(header)
        for dots, module, names in CIMPORT.findall(header.read_text(encoding="utf-8")):
            folder = header.parents[len(dots) - 1].joinpath(*filter(None, module.split(".")))
            ahead += [p for p in [folder.with_suffix(".pxd"), *(folder / f"{n.strip()}.pxd" for n in names.split(","))] if p.exists()]
    return found


def remove_compiled_in_place(keep: set[str]) -> None:
    """Compiled modules that an earlier editable build left would shadow the sources."""
    if not keep:
        record_in(ROOT / "h2o_otel").unlink(missing_ok=True)
    for path in (ROOT / "h2o_otel").rglob(f"*.{sys.implementation.cache_tag}-*.so"):
        if ".".join([*path.relative_to(ROOT).parent.parts, path.name.partition(".")[0]]) not in keep:
            path.unlink()


def record_in(folder: Path) -> Path:
    """Where a package keeps what its modules were compiled from; see ``h2o_otel/_pure.py``."""
    return folder / str(runpy.run_path(str(ROOT / "h2o_otel" / "_pure.py"))["RECORD"])


class NoCompiler(Exception):
    pass


def keep_class_directives() -> None:
    """Make what a .pxd says of a class hold, such as ``@cython.freelist`` and ``@cython.no_gc``.

    Cython forgets the directives of the declaration when it comes to the class in the .py.
    Processes have this when they are forked from this one, and only then.
    """
    from Cython.Compiler.Nodes import CClassDefNode

    analyse = CClassDefNode.analyse_declarations
    if analyse.__name__ != "analyse_declarations":
        return

    def analyse_implementation(node, env) -> None:  # type: ignore[no-untyped-def]
        declared = None if node.in_pxd else env.lookup_here(node.class_name)
        directives = declared.type.scope.directives if declared is not None and declared.type.scope is not None else None
        analyse(node, env)
        if directives is not None and node.scope is not None:
            node.scope.directives = directives

    CClassDefNode.analyse_declarations = analyse_implementation


class BuildPython(build_py):
    def run(self) -> None:
        if self.editable_mode:
            if PURE:
                remove_compiled_in_place(keep=set())
        else:
            # What an earlier build left there would be packed, too, though its source is gone.
            shutil.rmtree(Path(self.build_lib, "h2o_otel"), ignore_errors=True)
        super().run()


class BuildExtensions(build_ext):
    """Compile in parallel, reuse what is already compiled from the same input, or go pure as a whole."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.force = True
        self.parallel = self.parallel or os.cpu_count() or 1

    def run(self) -> None:
        super().run()
        if self.inplace:
            remove_compiled_in_place(keep={e.name for e in self.extensions})
            # Modules are built in a folder of their own and copied from there.
            if self.extensions:
                built = record_in(Path(self.build_lib, "h2o_otel"))
                shutil.copy(built, ROOT / "h2o_otel" / built.name)

    def build_extensions(self) -> None:
        started = time.monotonic()
        declared = self.extensions
        # As they are at first, for an edit may come while they are compiled.
        compiled_from = runpy.run_path(str(ROOT / "h2o_otel" / "_pure.py"))["fingerprints"]()
        try:
            self.check_compiler()
            missing = [e for e in declared if not self.cached(e).exists()]
            self.announce_start(len(missing))
            self.extensions = self.translate(missing)
            self.finished = 0
            super().build_extensions()
            self.extensions = declared
            for extension in declared:
                target = Path(self.get_ext_fullpath(extension.name))
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.cached(extension), target)
            record_in(Path(self.build_lib, "h2o_otel")).write_text(json.dumps(compiled_from, indent=1), encoding="utf-8")
        except Exception as error:
            if REQUIRED:
                raise
            self.go_pure(declared, error)
            return
        say(f"{len(declared)} modules compiled in {time.monotonic() - started:.0f} s")

    def announce_start(self, missing: int) -> None:
        kind = " checked" * CHECKED + " sanitized" * SANITIZED
        if missing:
            version = importlib.metadata.version("Cython")
            say(f"compiling {missing}{kind} modules with Cython {version} and the C compiler, {self.parallel} at a time")
            say(f"this takes about {max(1, missing * 6 // self.parallel)} s, once; H2O_OTEL_PURE=1 skips it")
        else:
            say(f"the{kind} compiled modules are current")

    def check_compiler(self) -> None:
        """Compile one line against Python.h first: one clear reason instead of one failure per module."""
        with tempfile.TemporaryDirectory() as folder:
            probe = Path(folder, "probe.c")
            probe.write_text("#include <Python.h>\nint h2o_otel_probe(void) { return PY_VERSION_HEX != 0; }\n")
            try:
                self.compiler.compile([str(probe)], output_dir=folder, include_dirs=self.compiler.include_dirs)
            except Exception as error:
                program = getattr(self.compiler, "compiler_so", None) or ["the C compiler"]
                raise NoCompiler(f"{program[0]} cannot compile a line that includes Python.h") from error

    def translate(self, extensions: list[Extension]) -> list[Extension]:
        """From Python to C, one process per core where processes fork."""
        if not extensions:
            return []
        from Cython.Build import cythonize

        keep_class_directives()
        if sys.platform == "linux":
            # Python 3.14 has another default there, which would leave the work to one process (see above).
            multiprocessing.set_start_method("fork", force=True)
        translated = cythonize(
            extensions,
            nthreads=self.parallel if len(extensions) > 1 and multiprocessing.get_start_method() == "fork" else 0,
            build_dir="build/cython",
            force=True,
            quiet=True,
            compiler_directives=DIRECTIVES,
        )
        sources = {e.name: e.sources for e in translated}
        with_c = [copy.copy(e) for e in extensions]  # setuptools has notes of its own on these objects
        for extension in with_c:
            extension.sources = sources[extension.name]
        # The largest first, so that no core is left alone with it at the end.
        return sorted(with_c, key=lambda e: Path(e.sources[0]).stat().st_size, reverse=True)

    def build_extension(self, ext: Extension) -> None:
        super().build_extension(ext)
        cached = self.cached(ext)
        cached.parent.mkdir(parents=True, exist_ok=True)
        for old in cached.parent.glob(cached.name.rpartition("-")[0] + "-*"):
            old.unlink()
        # By way of another name, so that an interrupted build leaves nothing half written.
        partial = cached.with_name(cached.name + ".partial")
        shutil.copy(self.get_ext_fullpath(ext.name), partial)
        partial.replace(cached)
        self.finished += 1
        say(f"{self.finished}/{len(self.extensions)} {ext.name}")

    def cached(self, ext: Extension) -> Path:
        """Where the module compiled from exactly this input is kept; as it was at first, for an edit may come while it compiles."""
        known: dict[str, Path] = self.__dict__.setdefault("_cached", {})
        if ext.name not in known:
            known[ext.name] = self.cached_now(ext)
        return known[ext.name]

    def cached_now(self, ext: Extension) -> Path:
        variant = "".join(["c" * CHECKED, "s" * SANITIZED]) or "n"
        digest = hashlib.sha256(repr(self.common_input()).encode())
        source = ROOT / source_of(ext.name)
        for path in [source, *sorted(headers_of(source))]:
            digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
        return CACHE / f"{ext.name}-{sys.implementation.cache_tag}{variant}-{digest.hexdigest()[:24]}"

    def common_input(self) -> list[object]:
        """What every module depends on beside its source and the .pxd files that it reads."""
        if not hasattr(self, "_common_input"):
            self._common_input = [
                importlib.metadata.version("Cython"),
                sys.version,
                self.plat_name,
                getattr(self.compiler, "compiler_so", None),
                [os.environ.get(name) for name in ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS")],
                COMPILE_FLAGS,
                LINK_FLAGS,
                DIRECTIVES,
                # Not inspect.getsource: what pip runs has been read into a string, which has no file.
                (ROOT / "setup.py").read_text(),
            ]
        return self._common_input

    def go_pure(self, declared: list[Extension], error: Exception) -> None:
        """Leave every compiled module out; the sources run as they are."""
        for extension in declared:
            Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
        record_in(Path(self.build_lib, "h2o_otel")).unlink(missing_ok=True)
        self.extensions = self.distribution.ext_modules = []
        if isinstance(error, NoCompiler):
            remedy = (
                "with a C compiler and the Python headers (Debian: gcc python3-dev) install again with --force-reinstall --no-cache-dir"
            )
        else:
            remedy = "this should not happen; H2O_OTEL_REQUIRE_CYTHON=1 and pip install --verbose show the whole error"
        say(f"NOT COMPILED: {error}")
        say("the package is installed as pure Python: everything works, many times slower")
        say(remedy)


def main() -> None:
    modules = [] if PURE else compiled_modules()
    extensions = [Extension(m, [source_of(m)], extra_compile_args=COMPILE_FLAGS, extra_link_args=LINK_FLAGS) for m in modules]
    setup(ext_modules=extensions, cmdclass={"build_ext": BuildExtensions, "build_py": BuildPython})


if __name__ == "__main__":
    main()
