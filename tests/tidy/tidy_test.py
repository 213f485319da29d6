#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows every rule of tidy.py a small tree that breaks it and one that does not: a rule that can't fail is no rule."""

import unittest

import tidy

SPDX = "// SPDX-License-Identifier: Apache-2.0\n"
HEADER = SPDX + "#pragma once\n"
TREE = {
    "CMakeLists.txt":
        "# SPDX-License-Identifier: Apache-2.0\nforeach(module base wire host driver gro steer receive)\n",
    "src/base/CMakeLists.txt": "# SPDX-License-Identifier: Apache-2.0\nnetrx_module(base)\n",
    "src/wire/CMakeLists.txt": "# SPDX-License-Identifier: Apache-2.0\nnetrx_module(wire DEPS base)\n",
    "src/host/CMakeLists.txt": "# SPDX-License-Identifier: Apache-2.0\nnetrx_module(host)\n",
    "src/gro/CMakeLists.txt": "# SPDX-License-Identifier: Apache-2.0\nnetrx_module(gro DEPS wire)\n",
    "src/steer/CMakeLists.txt": "# SPDX-License-Identifier: Apache-2.0\nnetrx_module(steer)\n",
    "include/netrx/flow.h": HEADER,
    "src/base/list.h": HEADER,
    "src/base/list_test.cc": SPDX + '#include "base/list.h"\n',
    "src/wire/header.h": HEADER,
    "src/wire/header_test.cc": SPDX + '#include "wire/header.h"\n',
    "src/gro/gro_test.cc": SPDX,
    "src/steer/steer_test.cc": SPDX,
    "src/host/clock_test.cc": SPDX,
}
LONG = "void f() {\n" + "  g();\n" * tidy.FUNCTION_LIMIT + "}\n"
LIMIT = "void f() {\n" + "  g();\n" * (tidy.FUNCTION_LIMIT - 2) + "}\n"

# rule, file, text that breaks it, part of the message, text that does not
EXAMPLES = [
    (tidy.text_shape, "src/wire/a.cc", SPDX + "\tint a();\n", "indent with spaces", SPDX + "  int a();\n"),
    (tidy.text_shape, "src/wire/a.cc", SPDX + "int a(); \n", "remove them", SPDX + "int a();\n"),
    (tidy.text_shape, "src/wire/a.cc", SPDX + "int a();", "add one", SPDX + "int a();\n"),
    (tidy.text_shape, "src/wire/a.cc", SPDX + "int a();\r\n", "save it with LF", SPDX + "int a();\n"),
    (tidy.text_shape, "src/wire/a.cc", SPDX + "//" + "a" * 119 + "\n", "break the line",
     SPDX + "//" + "a" * 118 + "\n"),
    (tidy.spdx, "src/wire/a.cc", "int a();\n", "begin with", SPDX),
    (tidy.spdx, "tool", "#!/bin/sh\necho\n", "begin with", "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n"),
    (tidy.unfinished, "src/wire/a.cc", SPDX + "// TO" "DO: more\n", "do it now", SPDX + "// toDo is a name\n"),
    (tidy.unfinished, "docs/a.md", "Co-" "authored-by: x\n", "remove it", "Co-operation\n"),
    (tidy.header_guard, "src/wire/a.h", SPDX, "add it", HEADER),
    (tidy.state_is_passed, "src/wire/a.cc", SPDX + "thread_" "local int a;\n", "per-Cpu data",
     SPDX + "// thread-local\n"),
    (tidy.state_is_passed, "src/wire/a.cc", SPDX + "static int a = 0;\n", "make it const", SPDX + "static int a();\n"),
    (tidy.state_is_passed, "src/wire/a.cc", SPDX + "  static std::map<int, int> a;\n", "make it const",
     SPDX + "  static constexpr int a = 0;\n  static Result<int> create(int a, int b = 0);\n"),
    (tidy.state_is_passed, "src/wire/a.cc", SPDX + "std::atomic<int> a{0};\n", "make it constexpr",

         SPDX + "inline constexpr int a = 0;\nusing A = int;\nFoo::Foo() = default;\n}  // namespace a\n"),
    (tidy.tests_are_alive, "src/wire/a_test.cc", SPDX + "// TEST(A, B) {\n", "delete it", SPDX + "TEST(A, B) {\n"),
    (tidy.tests_are_alive, "src/wire/a_test.cc", SPDX + "#if 0\n", "git remembers", SPDX + "#if FOO\n"),
    (tidy.clocks_and_chance, "src/wire/a.cc", SPDX + "auto a = std::chrono::steady_clock::now();\n", "as an argument",
     SPDX + "// steady_clock::now is for host\n"),
    (tidy.clocks_and_chance, "src/wire/a.cc", SPDX + "std::random_device a;\n", "as an argument", SPDX),
    (tidy.function_length, "src/wire/a.cc", SPDX + LONG, "split it", SPDX + LIMIT),
    (tidy.function_length, "src/wire/a.h",
     HEADER + "class A {\n" + LONG.replace("\n", "\n  ").replace("void", "  void") + "\n};\n", "split it",
     HEADER + "class A {\n" + "  void f();\n" * 200 + "};\n"),
    (tidy.header_kinds, "src/wire/a.cc", SPDX + '#include "wire/b.cc"\n', "declare what you need", SPDX),
    (tidy.header_kinds, "include/netrx/a.h", HEADER + '#include "wire/header.h"\n', "move it to include/netrx",
     HEADER + '#include "netrx/flow.h"\n'),
    (tidy.header_kinds, "include/netrx/a.h", HEADER + "#include <pcap.h>\n", "keep it to src/",
     HEADER + "#include <span>\n"),
    (tidy.header_kinds, "include/netrx/a.h", HEADER + "#if NETRX_VERIFY\n#endif\n", "keep the check in src/", HEADER),
    (tidy.header_kinds, "src/wire/a.cc", SPDX + "#include <unistd.h>\n", "belong in src/host",
     SPDX + "#include <span>\n"),
    (tidy.header_kinds, "src/driver/a.cc", SPDX + "#include <sys/mman.h>\n", "belong in src/host", SPDX),
    (tidy.header_kinds, "src/host/a.cc", SPDX + "#include <gtest/gtest.h>\n", "move what needs it",
     SPDX + "#include <pthread.h>\n"),
    (tidy.own_header_first, "src/wire/header.cc", SPDX + '#include "base/list.h"\n', "put it above",
     SPDX + '#include "wire/header.h"\n'),
    (tidy.own_header_first, "src/wire/flow.cc", SPDX + "#include <span>\n", "put it above",
     SPDX + '#include "netrx/flow.h"\n'),
    (tidy.layers, "src/wire/a.cc", SPDX + '#include "gro/gro.h"\n', "pass it in", SPDX + '#include "base/list.h"\n'),
    (tidy.layers, "src/steer/a.cc", SPDX + '#include "gro/gro.h"\n', "let src/receive pass it on", SPDX),
    (tidy.layers, "src/steer/a.cc", SPDX + '#include "wire/header.h"\n', "add wire to DEPS", SPDX),
    (tidy.layers, "src/steer/a.cc", SPDX + '#include "netrx/none.h"\n', "correct the name",
     SPDX + '#include "netrx/flow.h"\n'),
    (tidy.layers, "src/steer/a.cc", SPDX + '#include "b.h"\n', "name its module", SPDX + '#include "steer/b.h"\n'),
    (tidy.layers, "examples/a.cc", SPDX + '#include "base/list.h"\n', "use only what users have",
     SPDX + '#include "netrx/flow.h"\n'),
    (tidy.declared_layers, "src/base/CMakeLists.txt", "netrx_module(base DEPS wire)\n", "only on modules above",
     "netrx_module(base)\n"),
    (tidy.declared_layers, "src/steer/CMakeLists.txt", "netrx_module(steer DEPS base gro)\n",
     "only src/receive composes",
     "netrx_module(steer\n  DEPS base\n  SOURCES a.cc)\n"),
    (tidy.declared_layers, "src/steer/CMakeLists.txt", "netrx_module(steer DEPS none)\n", "correct the name",
     "netrx_module(steer)\n"),
    (tidy.declared_layers, "src/extra/CMakeLists.txt", "netrx_module(extra)\n", "add it to the list", ""),
    (tidy.modules_are_tested, "src/receive/CMakeLists.txt", "netrx_module(receive)\n", "add a _test.cc", ""),
    (tidy.fuzz_targets_have_seeds, "src/wire/a_fuzz.cc", SPDX, "put inputs into", None),
    (tidy.links, "docs/a.md", "see [b](b.md)\n", "correct or remove",
     "see [flow](../include/netrx/flow.h) [x](https://x)\n"),
    (tidy.links, "docs/a.md", "# Two words\n[b](#two)\n", "no such heading",
     "# Two words\n[b](#two-words) [c](a.md)\n"),
]


def problems(rule, name, text):
    texts = {**TREE, name: text} if text is not None else TREE
    if rule is tidy.modules_are_tested:
        texts = {**texts, "src/receive/receive.cc": SPDX} if text else texts
    files = [tidy.File(*entry) for entry in texts.items()]
    tree = tidy.Tree(files)
    if rule in tidy.TREE_RULES:
        return [text for where, _, text in rule(tree) if where == name]
    return [text for _, text in rule(tree.files[name], tree)] if text is not None else []


class Tidy(unittest.TestCase):
    def test_every_rule_finds_its_example_and_nothing_else(self):
        for rule, name, broken, message, clean in EXAMPLES:
            with self.subTest(rule=rule.__name__, message=message):
                found = problems(rule, name, broken)
                self.assertTrue(any(message in text for text in found), f"{message!r} is not in {found}")
                self.assertEqual(problems(rule, name, clean), [])

    def test_every_rule_has_an_example(self):
        self.assertEqual({rule for rule, *_ in EXAMPLES}, {*tidy.RULES, *tidy.TREE_RULES})

    def test_every_message_names_a_remedy(self):
        for rule, name, broken, *_ in EXAMPLES:
            for text in problems(rule, name, broken):
                self.assertRegex(text, r"[:;,] [`\w]", f"{rule.__name__} says what is wrong, not what to do")

    def test_an_exception_excuses_one_rule_in_one_file_and_must_be_needed(self):
        files = [tidy.File(*entry) for entry in {**TREE, "src/wire/a.cc": SPDX + LONG}.items()]
        excused = tidy.read_exceptions("# comment\nfunction_length src/wire/a.cc one table\n")
        self.assertEqual(len(tidy.check(files)), 1)
        self.assertEqual(tidy.check(files, excused), [])
        self.assertIn("remove the line", tidy.check([tidy.File(*entry) for entry in TREE.items()], excused)[0][2])

    def test_a_header_that_only_tests_include_may_use_what_tests_may(self):
        model = {**TREE, "src/wire/model.h": HEADER + "#include <relacy/relacy.hpp>\n",
                 "src/wire/model_test.cc": SPDX + '#include "wire/model.h"\n'}
        self.assertEqual(tidy.check([tidy.File(*entry) for entry in model.items()]), [])
        model["src/wire/wire.cc"] = SPDX + '#include "wire/model.h"\n'
        self.assertEqual(len(tidy.check([tidy.File(*entry) for entry in model.items()])), 1)

    def test_the_clean_tree_is_clean(self):
        self.assertEqual(tidy.check([tidy.File(*entry) for entry in TREE.items()]), [])


if __name__ == "__main__":
    unittest.main()
