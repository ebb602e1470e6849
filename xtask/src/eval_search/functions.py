"""Functions of a repository, what their comments say of them, and the sources without comments.

A file's text without comments has the lines of the file, so that a place is the same place in both.
"""

import os
import re
import subprocess

import tree_sitter_go
import tree_sitter_python
import tree_sitter_rust
import tree_sitter_typescript
from tree_sitter import Language, Parser

LANGUAGES = {
    ".py": ("python", tree_sitter_python.language()),
    ".ts": ("typescript", tree_sitter_typescript.language_typescript()),
    ".mts": ("typescript", tree_sitter_typescript.language_typescript()),
    ".tsx": ("typescript", tree_sitter_typescript.language_tsx()),
    ".rs": ("rust", tree_sitter_rust.language()),
    ".go": ("go", tree_sitter_go.language()),
}
PARSERS = {ending: Parser(Language(grammar)) for ending, (_, grammar) in LANGUAGES.items()}
FILE_BYTES_MAX = 1_000_000
CODE_CHARS_MIN = 20
SKIPPED = re.compile(
    r"(^|/)(vendor|node_modules|third_party|dist|build|\.git|__snapshots__|generated|testdata|fixtures|locale|locales)(/|$)"
    r"|\.min\.|\.d\.ts$|\.pb\.go$|_generated|zz_generated|\.gen\.go$|bindata"
)
TEST = re.compile(
    r"(^|/)(tests?|__tests__|spec|specs|testing|testutil|testutils|e2e|benches|benchmarks?|examples?|playground|fixtures?|integration)(/|$)"
    r"|_test\.(go|py)$|(^|/)test_[^/]*\.py$|\.(test|spec)\.[jt]sx?$|(^|/)conftest\.py$|(^|/)tests?\.(rs|py|ts|go)$"
)
COMMENTS = {"comment", "line_comment", "block_comment"}
FUNCTIONS_OF_SCRIPTS = {"arrow_function", "function_expression", "function", "generator_function"}


class Function:
    def __init__(self, path, language, name, scope, node, code, doc, is_test):
        self.path, self.language, self.name, self.code, self.doc = path, language, name, code, doc
        self.qualified = ".".join([*scope, name])
        self.start, self.end = node.start_point[0] + 1, node.end_point[0] + 1
        self.is_test = is_test


def gather(git_dir, commit="HEAD"):
    """Yields for each source file its path, its text without comments, and its functions."""
    listed = subprocess.run(["git", "-C", git_dir, "ls-tree", "-r", "-z", commit], capture_output=True, check=True).stdout
    wanted = []
    for line in listed.split(b"\0"):
        head, _, path = line.partition(b"\t")
        path = path.decode("utf8", "replace")
        if head.startswith(b"100") and os.path.splitext(path)[1] in LANGUAGES and not SKIPPED.search(path):
            wanted.append((path, head.split()[2]))
    names = b"".join(blob + b"\n" for _, blob in wanted)
    blobs = subprocess.run(["git", "-C", git_dir, "cat-file", "--batch"], input=names, capture_output=True, check=True).stdout
    at = 0
    for path, _ in wanted:
        end = blobs.index(b"\n", at)
        size = int(blobs[at:end].split()[2])
        source = blobs[end + 1 : end + 1 + size]
        at = end + size + 2
        head = source[:2000]
        is_generated = b"Code generated" in head or b"@generated" in head or b"auto-generated" in head[:600]
        if size <= FILE_BYTES_MAX and not is_generated:
            yield path, *read(path, source)


def read(path, source):
    ending = os.path.splitext(path)[1]
    language = LANGUAGES[ending][0]
    root = PARSERS[ending].parse(source).root_node
    cuts = comments(root) + (docstrings(root) if language == "python" else [])
    bare = bytearray(source)
    for node, instead in cuts:
        text = bytes(byte if byte in b"\r\n" else 32 for byte in source[node.start_byte : node.end_byte])
        bare[node.start_byte : node.end_byte] = instead + text[len(instead) :]
    bare = b"\n".join(line.rstrip() for line in bytes(bare).split(b"\n"))
    lines = bare.split(b"\n")
    found = []
    for node, name, scope, doc in definitions(language, source, root):
        start = node.start_point
        own = [lines[start[0]][start[1] :], *lines[start[0] + 1 : node.end_point[0] + 1]]
        code = "\n".join(line.decode("utf8", "replace") for line in own if line.strip())
        if len(code) >= CODE_CHARS_MIN:
            is_test = bool(TEST.search(path)) or name.startswith(("test_", "Test", "Benchmark")) or (language == "rust" and "tests" in scope)
            found.append(Function(path, language, name, scope, node, code, doc, is_test))
    return bare, found


def comments(root):
    found, stack = [], [root]
    while stack:
        node = stack.pop()
        if node.type in COMMENTS:
            found.append((node, b""))
        else:
            stack.extend(node.children)
    return found


def docstrings(root):
    """The strings that stand first in a block or in the file, with what must stand in their place."""
    found, stack = [], [root]
    while stack:
        node = stack.pop()
        if node.type in ("block", "module"):
            statements = [it for it in node.named_children if it.type != "comment"]
            if statements and is_string(statements[0]):
                instead = b"..." if node.type == "block" and len(statements) == 1 else b""
                found.append((statements[0], instead))
        stack.extend(node.children)
    return found


def is_string(statement):
    inner = statement.named_children
    return statement.type == "expression_statement" and len(inner) == 1 and inner[0].type in ("string", "concatenated_string")


def definitions(language, source, root):
    """Yields node, name, scopes around it, and comment of each function that has a body."""
    stack = [(root, [])]
    while stack:
        node, scope = stack.pop()
        inner = scope
        if language == "python":
            if node.type == "class_definition":
                inner = scope + [name_of(source, node)]
            elif node.type == "function_definition":
                name = name_of(source, node)
                yield node, name, scope, python_doc(source, node)
                inner = scope + [name]
        elif language == "rust":
            if node.type == "impl_item":
                kind = node.child_by_field_name("type")
                inner = scope + ([re.sub(r"<.*", "", text_of(source, kind), flags=re.S)] if kind else [])
            elif node.type in ("trait_item", "mod_item"):
                inner = scope + [name_of(source, node)]
            elif node.type == "function_item":
                name = name_of(source, node)
                yield node, name, scope, rust_doc(source, node)
                inner = scope + [name]
        elif language == "go":
            if node.type in ("function_declaration", "method_declaration") and node.child_by_field_name("body"):
                receiver = node.child_by_field_name("receiver")
                found = re.search(r"\*?\s*(\w+)\s*(\[[^\]]*\])?\s*\)", text_of(source, receiver)) if receiver else None
                yield node, name_of(source, node), scope + ([found.group(1)] if found else []), go_doc(source, node)
        else:
            if node.type in ("class_declaration", "abstract_class_declaration", "interface_declaration", "internal_module", "class"):
                name = name_of(source, node)
                inner = scope + ([name] if name else [])
            named = script_function(source, node)
            if named:
                name, anchor = named
                yield node, name, scope, script_doc(source, anchor, name)
                inner = scope + [name]
        stack.extend((child, inner) for child in reversed(node.children))


def text_of(source, node):
    return source[node.start_byte : node.end_byte].decode("utf8", "replace")


def name_of(source, node):
    field = node.child_by_field_name("name")
    return text_of(source, field) if field else ""


def script_function(source, node):
    """The name of a function of TypeScript, and the node that its comment stands above."""
    if node.type in ("function_declaration", "generator_function_declaration", "method_definition"):
        name, anchor = name_of(source, node), node
    elif node.type == "variable_declarator":
        value = node.child_by_field_name("value")
        if value is None or value.type not in FUNCTIONS_OF_SCRIPTS:
            return None
        name, anchor = name_of(source, node), node.parent
    elif node.type in ("public_field_definition", "field_definition", "pair"):
        value = node.child_by_field_name("value")
        key = next(filter(None, map(node.child_by_field_name, ("name", "key", "property"))), None)
        if value is None or key is None or value.type not in FUNCTIONS_OF_SCRIPTS - {"generator_function"}:
            return None
        body = value.child_by_field_name("body")
        if body is None or body.type != "statement_block":
            return None
        name, anchor = text_of(source, key), node
    else:
        return None
    if anchor.parent is not None and anchor.parent.type == "export_statement":
        anchor = anchor.parent
    return (name, anchor) if name else None


def comments_above(source, node, between=()):
    """The comments that stand right above a node."""
    found, line = [], node.start_point[0]
    while (node := node.prev_sibling) is not None:
        if node.type in between:
            line = node.start_point[0]
            continue
        last = node.end_point[0] - (node.end_point[1] == 0 and node.end_point[0] > node.start_point[0])
        if node.type not in COMMENTS or line - last > 1:
            break
        found.append(text_of(source, node).strip())
        line = node.start_point[0]
    return found[::-1]


def block_text(comment):
    comment = re.sub(r"\*+/$", "", re.sub(r"^/\*+!?", "", comment.strip()))
    return "\n".join(re.sub(r"^\s*\*? ?", "", line) for line in comment.split("\n"))


def python_doc(source, node):
    body = node.child_by_field_name("body")
    statements = [it for it in body.named_children if it.type != "comment"] if body else []
    if not statements or not is_string(statements[0]):
        return ""
    text = text_of(source, statements[0]).strip()
    inner = re.match(r"""^[rRbBuUfF]*(\"{3}|'{3}|"|')(.*)\1$""", text, re.S)
    return inner.group(2) if inner else text


def rust_doc(source, node):
    lines = []
    for comment in comments_above(source, node, ("attribute_item",)):
        if comment.startswith("///") and not comment.startswith("////"):
            lines.append(re.sub(r"^/// ?", "", comment))
        elif comment.startswith("/**"):
            lines.append(block_text(comment))
    return "\n".join(lines)


def go_doc(source, node):
    lines = [it for it in comments_above(source, node) if not re.match(r"//(go|nolint|lint|line|export)\b:?", it)]
    return "\n".join(re.sub(r"^// ?", "", it) if it.startswith("//") else block_text(it) for it in lines)


def script_doc(source, anchor, name):
    found = [it for it in comments_above(source, anchor, ("decorator",)) if it.startswith("/**")]
    before, n_steps = anchor, 0
    # The comment of a function with overloads stands above the first of them.
    while not found and n_steps < 12:
        before, n_steps = before.prev_sibling, n_steps + 1
        if before is None:
            break
        inner = (before.child_by_field_name("declaration") or before) if before.type == "export_statement" else before
        if inner.type in ("function_signature", "method_signature") and name_of(source, inner) == name:
            found = [it for it in comments_above(source, before, ("decorator",)) if it.startswith("/**")]
        elif before.type not in COMMENTS and before.type != ";":
            break
    if not found:
        return ""
    text = block_text(found[-1])
    main = re.split(r"^\s*@", text, maxsplit=1, flags=re.M)[0].strip()
    tagged = re.search(r"@(?:summary|description|remarks)\s+(.*?)(?=\n\s*@|\Z)", text, re.S)
    return main or (tagged.group(1).strip() if tagged else "")
