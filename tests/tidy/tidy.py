#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Style and layers as a test. Every message ends with the remedy.

    tests/tidy/tidy.py [ROOT]       checks the tree, prints `file:line: message`, exits with 1 when there is any

A rule is a generator of (line, message) over one file; RULES and TREE_RULES at the end list them all. tidy_test.py
shows each rule an example that breaks it.
"""

import re
import subprocess
import sys
from pathlib import Path

LINE_LIMIT = 120
FUNCTION_LIMIT = 70

CPP = (".cc", ".h")
CODE = (".cc", ".h", ".py", ".sh", ".cmake", "CMakeLists.txt", ".toml")

# Stages of the path return, they do not call onwards: none of these may use another. Only receive/ composes them.
STAGES = ("driver", "napi", "gro", "steer", "backlog", "deliver")

STANDARD_HEADERS = frozenset("""
algorithm any array atomic barrier bit bitset cassert cctype cerrno cfenv cfloat charconv chrono cinttypes
climits clocale cmath codecvt compare complex concepts condition_variable coroutine csetjmp csignal cstdarg
cstddef cstdint cstdio cstdlib cstring ctime cuchar cwchar cwctype deque exception execution expected
filesystem forward_list fstream functional future initializer_list iomanip ios iosfwd iostream istream
iterator latch limits list locale map memory memory_resource mutex new numbers numeric optional ostream queue
random ranges ratio regex scoped_allocator semaphore set shared_mutex source_location span spanstream sstream
stack stacktrace stdexcept stdfloat stop_token streambuf string string_view syncstream system_error thread
tuple type_traits typeindex typeinfo unordered_map unordered_set utility valarray variant vector version""".split())
CPU_HEADERS = frozenset(("immintrin.h", "x86intrin.h", "cpuid.h"))  # the instruction set, not the operating system
TEST_HEADERS = ("gtest/", "gmock/", "rapidcheck", "relacy/", "benchmark/")


class File:
    """One file of the tree; `code` is its text with comments and literals blanked, line for line."""

    def __init__(self, name, text):
        self.name = name
        self.text = text
        self.lines = text.split("\n")
        if self.lines[-1] == "":
            self.lines.pop()
        self.code = blank_comments_and_literals(text).split("\n") if name.endswith(CPP) else []
        parts = name.split("/")
        self.for_tests_only = False  # Tree finds out
        self.module = parts[1] if parts[0] == "src" and len(parts) > 2 else None

    def is_test(self):
        """Tests, benchmarks, and headers that only those include."""
        return self.for_tests_only or self.name.startswith(("tests/", "bench/")) \
            or self.name.endswith(("_test.cc", "_bench.cc", "_fuzz.cc"))

    def is_public_header(self):
        return self.name.startswith("include/netrx/")

    def may_touch_the_os(self):
        return (self.module is None and not self.is_public_header()) or self.module == "host" or self.is_test() \
            or bool(re.match(r"src/driver/\w+/", self.name))

    def includes(self):
        """(line, opening character, path) of each #include."""
        for number, line in enumerate(self.lines, 1):
            found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if found:
                yield number, found[1], found[2]


def blank_comments_and_literals(text):
    token = re.compile(r"""//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*\""""
                       r"""|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'""", re.DOTALL)

    def blank(match):
        kept = re.sub(r"[^\n]", " ", match[0])
        return '"' + kept[1:-1] + '"' if match[0].endswith('"') and "\n" not in match[0] else kept
    return token.sub(blank, text)


class Tree:
    """What the rules know of the whole: the order of modules, what each declares, which files there are."""

    def __init__(self, files):
        self.files = {file.name: file for file in files}
        self.order = self._order()
        self.declared = {}  # module → DEPS
        for name, file in self.files.items():
            found = re.fullmatch(r"src/(\w+)/(?:\w+/)?CMakeLists\.txt", name)
            if found:
                for call in re.finditer(r"netrx_(?:module|component)\(\s*(\w+)([^)]*)\)", file.text):
                    self.declared.setdefault(found[1], []).extend(self._deps(call[2]))
        self.headers = {name.removeprefix("src/").removeprefix("include/") for name in self.files
                        if name.endswith(".h") and name.startswith(("src/", "include/"))}

        self._find_test_headers()

    def _find_test_headers(self):
        users = {}
        for file in self.files.values():
            for _, _, path in file.includes() if file.name.endswith(CPP) else ():
                users.setdefault("src/" + path, set()).add(file.name)
        changed = True
        while changed:
            changed = False
            for name, names in users.items():
                header = self.files.get(name)
                if header and not header.is_test() and all(self.files[user].is_test() for user in names):
                    header.for_tests_only = changed = True

    def _order(self):
        top = self.files.get("CMakeLists.txt")
        found = top and re.search(r"foreach\(module ([\w\s]+)\)", top.text)
        return found[1].split() if found else []

    @staticmethod
    def _deps(arguments):
        found = re.search(r"\bDEPS\s+([\w\s]*)", arguments)
        words = found[1].split() if found else []
        keyword = next((i for i, word in enumerate(words) if word.isupper()), len(words))
        return words[:keyword]

    def reachable(self, module):
        seen, todo = set(), [module]
        while todo:
            for dep in self.declared.get(todo.pop(), []):
                if dep not in seen:
                    seen.add(dep)
                    todo.append(dep)
        return seen


# ---- rules on one file: text ---------------------------------------------------------------------------------------

def text_shape(file, _):
    if "\r" in file.text:
        yield 1, "CRLF line ends: save it with LF"
    if file.text and not file.text.endswith("\n"):
        yield len(file.lines), "no newline at the end: add one"
    for number, line in enumerate(file.lines, 1):
        if "\t" in line:
            yield number, "a tab: indent with spaces"
        if line != line.rstrip():
            yield number, "spaces at the end of the line: remove them"
        if len(line) > LINE_LIMIT and file.name.endswith(CODE) and "://" not in line:
            yield number, f"{len(line)} characters: break the line, the limit is {LINE_LIMIT}"


def spdx(file, _):
    if not (file.name.endswith(CODE) or file.text.startswith("#!")):
        return
    first = file.lines[1 if file.text.startswith("#!") and len(file.lines) > 1 else 0] if file.lines else ""
    if first.lstrip("/# ") != "SPDX-License-Identifier: Apache-2.0":
        yield 1, "no licence: begin with `SPDX-License-Identifier: Apache-2.0` in a comment"


def unfinished(file, _):
    words = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
    for number, line in enumerate(file.lines, 1):
        found = words.search(line)
        if found:
            yield number, f"{found[1]}: do it now, or say in the docs that it is not there"
        credit = r"(?i)(co-" r"authored|signed-" r"off-by|generated " r"(by|with))\b"
        if file.name != "LICENSE" and re.search(credit, line):
            yield number, "a credit line: git keeps who wrote what, remove it"


# ---- rules on one file: C++ ----------------------------------------------------------------------------------------

def header_guard(file, _):
    if file.name.endswith(".h") and not any(line == "#pragma once" for line in file.lines[:5]):
        yield 1, "no `#pragma once` below the licence: add it"


def state_is_passed(file, _):
    if not file.name.endswith(CPP):
        return
    static = re.compile(r"\s*(?:inline\s+)?static\s+(?!.*\b(?:const|constexpr|consteval)\b)[^({=;]+[;={]")
    not_a_variable = ("using|typedef|return|template|friend|struct|class|enum|union|namespace|public|private|protected|"
                      "__extension__|case|goto|delete|throw|break|continue|else|static|asm")
    variable = re.compile(rf"(?:inline\s+|extern\s+|constinit\s+)*(?!(?:{not_a_variable})\b)"
                          r"[A-Za-z_][\w:<>,*& ]*[\s*&]+\w+(?:\[[^\]]*\])?\s*(?:=|\{[^}]*\};|;)")
    for number, line in enumerate(file.code, 1):
        if re.search(r"\bthread_" r"local\b", line):
            yield number, "thread-local state: put it into the per-Cpu data and pass that in"
        elif static.match(line) and not file.is_test():
            yield number, "a mutable static: make it const, or a member of an object that is passed in"
        elif not file.is_test() and variable.match(line) and not re.search(r"\bconst(expr)?\b|^#", line):
            yield number, "a mutable global: make it constexpr, or a member of an object that is passed in"


def tests_are_alive(file, _):
    if not file.name.endswith(CPP):
        return
    for number, line in enumerate(file.lines, 1):
        if re.match(r"\s*//\s*(TEST|TEST_F|TEST_P|RC_GTEST_PROP)\(", line) or "DISABLED_" in line:
            yield number, "a test that does not run: repair it or delete it"
        if re.match(r"\s*#\s*if\s+(0|false)\b", line):
            yield number, "dead code: delete it, git remembers"


def clocks_and_chance(file, _):
    if not file.name.endswith(CPP) or file.may_touch_the_os():
        return
    for number, line in enumerate(file.code, 1):
        if re.search(r"_clock::now\b|\bclock_gettime\b|\b_*rdtscp?\b", line):
            yield number, "reads a clock: take the time as an argument, src/host reads it once a poll"
        if re.search(r"\brandom_device\b|\bs?rand\(|\bgetrandom\(|\bmt19937", line):
            yield number, "draws its own randomness: take a base/prng.h generator or a seed as an argument"


def function_length(file, _):
    """Functions at namespace level and members defined inside a class, as clang-format lays them out."""
    if not file.name.endswith(CPP):
        return
    opened = {}  # indentation → (line, whether a function)
    for number, line in enumerate(file.code, 1):
        indent = len(line) - len(line.lstrip())
        if indent > 2:
            continue
        if line.rstrip().endswith("{") and (indent == 0 or opened.get(0, (0, True))[1] is False):
            head = "\n".join(file.code[max(0, number - 6):number])
            head = re.split(r"[;}]\s*\n", head)[-1]
            is_function = "(" in head and not re.match(r"\s*(namespace|class|struct|enum|union|extern)\b", line) \
                and not re.search(r"[=,]\s*\{$", line.rstrip())
            opened[indent] = (number, is_function)
        elif line.startswith("}", indent) and indent in opened:
            first, is_function = opened.pop(indent)
            length = number - first + 1
            if is_function and length > FUNCTION_LIMIT:
                yield first, f"a function of {length} lines: split it, the limit is {FUNCTION_LIMIT}"


# ---- rules on one file: includes -----------------------------------------------------------------------------------

def header_kinds(file, _):
    if not file.name.endswith(CPP):
        return
    for number, opening, path in file.includes():
        if path.endswith(".cc"):
            yield number, f"includes {path}: declare what you need in a header"
        if file.is_public_header():
            if opening == '"' and not path.startswith("netrx/"):
                yield number, f"a public header includes {path}, unknown to users: move it to include/netrx"
            if opening == "<" and path not in STANDARD_HEADERS:
                yield number, f"a public header includes <{path}>: keep it to src/, users get only standard headers"
        elif opening == "<" and path not in STANDARD_HEADERS | CPU_HEADERS and not file.may_touch_the_os():
            if path.startswith("netrx/"):
                yield number, f'includes <{path}>: write "{path}", angle brackets are for users'
            else:
                yield number, f"includes <{path}>: OS and library headers belong in src/host and src/driver/<kind>/"
        elif opening == "<" and path.startswith(TEST_HEADERS) and file.module and not file.is_test():
            yield number, f"production code includes <{path}>: move what needs it to a _test.cc or _bench.cc file"
    if file.is_public_header() and "NETRX_VERIFY" in file.text:
        yield 1, "a public header depends on NETRX_VERIFY, which users do not set: keep the check in src/"


def own_header_first(file, tree):
    """x.cc includes x.h first, so that x.h is seen to compile alone. The first of several x*.cc files is enough."""
    found = re.fullmatch(r"src/((?:\w+/)+)(\w+?)(_test)?\.cc", file.name)
    if not found:
        return
    folder, stem, test = found.groups()
    own = [path for path in (f"{folder}{stem}.h", f"netrx/{stem}.h") if path in tree.headers]
    if test and f"src/{folder}{stem}.cc" in tree.files:
        return
    first = next((path for _, _, path in file.includes()), None)
    if own and first not in own:
        yield 1, f'does not include "{own[0]}" first: put it above all others, so that it is seen to compile alone'


def layers(file, tree):
    if not file.name.endswith(CPP) or file.is_public_header():
        return
    reachable = tree.reachable(file.module) if file.module else set()
    for number, opening, path in file.includes():
        if opening != '"':
            continue
        target = path.split("/")[0]
        if target == "netrx":
            if path not in tree.headers:
                yield number, f"includes {path}, which is not there: add it to include/netrx or correct the name"
        elif file.name.startswith("examples/"):
            yield number, f"an example includes {path}: use only what users have, netrx/"
        elif file.module is None:
            continue
        elif "/" not in path:
            yield number, f'includes "{path}": name its module, "{file.module}/{path}"'
        elif target in tree.order and target != file.module:
            yield from layer_of(number, file.module, target, path, tree, reachable)


def layer_of(number, module, target, path, tree, reachable):
    if module in STAGES and target in STAGES:
        yield number, (f"stage {module} includes {path}: stages never use one another; return what the next one needs "
                       "and let src/receive pass it on")
    elif tree.order.index(target) > tree.order.index(module):
        yield number, (f"{module} includes {path} from below it: move what both need into a module above {module}, or "
                       f"let {target} pass it in")
    elif target not in reachable:
        yield number, f"includes {path}, undeclared: add {target} to DEPS in src/{module}/CMakeLists.txt"


# ---- rules on the whole tree ---------------------------------------------------------------------------------------

def declared_layers(tree):
    for module, deps in sorted(tree.declared.items()):
        where = f"src/{module}/CMakeLists.txt"
        if module not in tree.order:
            yield where, 1, f"{module} is not in the order of modules: add it to the list in CMakeLists.txt"
            continue
        for dep in deps:
            if dep == module:  # a component beside its module
                continue
            if dep not in tree.declared or dep not in tree.order:
                yield where, 1, f"DEPS names {dep}, which is no module: correct the name"
            elif tree.order.index(dep) > tree.order.index(module):
                yield where, 1, f"DEPS names {dep}, which stands below {module}: depend only on modules above"
            elif dep in STAGES and module in STAGES:
                yield where, 1, f"DEPS names {dep}: stages never use one another, only src/receive composes them"


def modules_are_tested(tree):
    for module in sorted(tree.declared):
        sources = [name for name in tree.files if name.startswith(f"src/{module}/") and name.endswith(CPP)]
        if sources and not any(name.endswith("_test.cc") for name in sources):
            yield f"src/{module}/CMakeLists.txt", 1, f"{module} has no test: add a _test.cc beside its code"


def fuzz_targets_have_seeds(tree):
    for name in sorted(tree.files):
        found = re.fullmatch(r"(src/(?:\w+/)+)(\w+)_fuzz\.cc", name)
        if found and not any(other.startswith(f"{found[1]}corpus/{found[2]}/") for other in tree.files):
            yield name, 1, f"a fuzz target without seeds: put inputs into {found[1]}corpus/{found[2]}/"


def slug(heading):
    text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip().lower())
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def links(tree):
    anchors = {name: {slug(line.lstrip("#")) for line in file.lines if re.match(r"#+ ", line)}
               for name, file in tree.files.items() if name.endswith(".md")}
    folders = {str(parent) for name in tree.files for parent in Path(name).parents}
    for name in sorted(anchors):
        fenced = False
        for number, line in enumerate(tree.files[name].lines, 1):
            fenced ^= line.lstrip().startswith("```")
            for target in [] if fenced else re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line)):
                if re.match(r"[a-z]+:", target):
                    continue
                path, _, anchor = target.partition("#")
                there = normal(Path(name).parent / path) if path else name
                if there not in tree.files and there not in folders:
                    yield name, number, f"links to {target}, which is not there: correct or remove the link"
                elif anchor and there in anchors and anchor not in anchors[there]:
                    yield name, number, f"links to {target}, but {there} has no such heading: correct the link"


def normal(path):
    parts = []
    for part in path.parts:
        if part == "..":
            if not parts:
                return ".."
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts) or "."


def read_exceptions(text):
    """exceptions.txt, `rule path reason`: {(rule, path)}. A known breach may stay; a new one may not come."""
    lines = [line.split(maxsplit=2) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {(rule, path) for rule, path, _reason in lines}


RULES = [text_shape, spdx, unfinished, header_guard, state_is_passed, tests_are_alive, clocks_and_chance,
         function_length, header_kinds, own_header_first, layers]
TREE_RULES = [declared_layers, modules_are_tested, fuzz_targets_have_seeds, links]


# ---- running -------------------------------------------------------------------------------------------------------

def check(files, exceptions=frozenset()):
    """[(name, line, message)] for a list of File."""
    tree = Tree(files)
    found = [(rule.__name__, file.name, *problem) for file in files for rule in RULES for problem in rule(file, tree)]
    found += [(rule.__name__, *problem) for rule in TREE_RULES for problem in rule(tree)]
    unused = exceptions - {(rule, name) for rule, name, _, _ in found}
    problems = {(name, line, text) for rule, name, line, text in found if (rule, name) not in exceptions}
    problems |= {("tests/tidy/exceptions.txt", 1, f"nothing breaks {rule} in {name} now: remove the line")
                 for rule, name in unused}
    return sorted(problems)


def read_tree(root):
    names = subprocess.run(["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True,
                           text=True)
    if names.returncode == 0:
        paths = [root / name for name in names.stdout.split("\0") if name]
    else:  # an unpacked archive
        paths = [path for path in root.rglob("*") if path.relative_to(root).parts[0] not in ("build", ".git")]
    for path in sorted(set(paths)):
        if path.is_file() and not path.is_symlink():
            yield File(str(path.relative_to(root)), text_of(path))


def text_of(path):
    """The file's text; empty for binary files, whose names alone matter."""
    data = path.read_bytes()
    try:
        return "" if b"\0" in data or "/corpus/" in str(path) else data.decode()
    except UnicodeDecodeError:
        return ""


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    files = list(read_tree(root))
    exceptions = read_exceptions((Path(__file__).parent / "exceptions.txt").read_text())
    problems = check(files, exceptions)
    for name, line, text in problems:
        print(f"{name}:{line}: {text}")
    print(f"tidy: {len(files)} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
