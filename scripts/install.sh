#!/bin/sh
# Makes .venv and lets its pip install what the arguments say, quietly; `make` calls this.
# Every way in which that can fail is one line that names what to install.
set -u

venv=.venv
log=build/install.log

fail() {
    echo "logloss: error: $*" >&2
    exit 1
}

# The interpreter: $PYTHON if set, else the first of the usual names that is new enough.
find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

# The compiler: $CXX if set, else the first of CMake's usual names that takes C++20.
find_compiler() {
    for candidate in "${CXX:-c++}" g++ clang++; do
        # $CXX may carry options, so it is not quoted
        if printf '#include <bit>\n#include <concepts>\nint main() {}\n' |
            $candidate -std=c++20 -fsyntax-only -x c++ - 2>/dev/null; then
            echo "$candidate"
            return
        fi
        [ -z "${CXX:-}" ] || return
    done
}

make_venv() {
    python=$(find_python)
    [ -n "$python" ] || fail "Python 3.11 or newer is needed, and ${PYTHON:-python3} is not that:" \
        "install python3 (Debian, Ubuntu: apt install python3 python3-venv python3-dev)," \
        "or name another: make PYTHON=/path/to/python3"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python has no venv module:" \
        "install python3-venv (Debian, Ubuntu: apt install python3-venv)"
    "$python" -c 'import os, sysconfig
raise SystemExit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
        fail "$python has no header files (Python.h):" \
            "install python3-dev (Debian, Ubuntu: apt install python3-dev; Fedora: python3-devel)"
    echo "logloss: making $venv with $("$python" --version)"
    rm -rf "$venv"
    "$python" -m venv "$venv" >>"$log" 2>&1 || fail "$python could not make $venv, see $log;" \
        "install python3-venv (Debian, Ubuntu: apt install python3-venv)"
}

explain_failure() {
    said=$(grep -iE '^ *error' "$log" | tail -n 1 | sed 's/^ *[Ee][Rr][Rr][Oo][Rr]: *//')
    # where it is not to try again, pip calls a missing network a conflict of versions
    if grep -qE 'ResolutionImpossible|No matching distribution' "$log"; then
        "$venv/bin/python" -m pip -vv index versions pip >>"$log" 2>&1
    fi
    if grep -qE 'Could not fetch URL .*: connection error|NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|Connection(Reset)?Error|connection broken|Network is unreachable' "$log"; then
        fail "no network: pip could not reach its package index, see $log;" \
            "connect, or set PIP_INDEX_URL to a mirror, and run make again"
    elif grep -qE 'CMake Error|FAILED: ' "$log"; then
        fail "the C++ core did not compile, see $log; install a newer g++ (10) or clang (14)"
    elif grep -q 'No space left' "$log"; then
        fail "no room left on the disk, see $log"
    fi
    fail "pip stopped: $said (see $log)"
}

pip() {
    "$venv/bin/python" -m pip --disable-pip-version-check "$@" >>"$log" 2>&1 || explain_failure
}

mkdir -p build
: >"$log"
compiler=$(find_compiler)
[ -n "$compiler" ] || fail "no C++20 compiler${CXX:+ (CXX=$CXX is none)}:" \
    "install g++ 10 or newer, or clang 14 or newer" \
    "(Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install)"
# said outright, for the build would else want the one that built Python
export CXX="$compiler"
"$venv/bin/python" -c 'import pip' 2>/dev/null || make_venv
# --group and --build-constraint need a recent pip
"$venv/bin/python" -c 'import pip
raise SystemExit(tuple(map(int, pip.__version__.split(".")[:2])) < (25, 3))' ||
    pip install --constraint constraints/ci.txt --upgrade pip
echo "logloss: installing $* (minutes the first time; log in $log)"
pip install --constraint constraints/ci.txt --build-constraint constraints/ci.txt "$@"
