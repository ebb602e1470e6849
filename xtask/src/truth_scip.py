"""Prints what a SCIP index says, as eval_graph.py reads it: files, definitions, references, one JSON object a line.

Usage: truth_scip.py INDEX.scip DIR

SCIP is protobuf (github.com/sourcegraph/scip, scip.proto); the few fields that matter are read here. It does not tell calls
from other references; the source does: a call's name is followed by `(`, preceded by `new`, or is that of an element or a
decorator.
"""

import json
import pathlib
import re
import sys

# What may stand between the name of a callee and the parenthesis: type arguments, `?.`, a macro's mark.
CALLED = re.compile(rb"(?:!|\?\.)?[ \t]*(?:(?:::)?<[^()\n;{}]*>)?[ \t]*[(\[{]")
# A method with its body, where a type of another place declares it.
OBJECT_METHOD = re.compile(rb"\([^()]*\) \{")
# Constructors belong to their classes; members of types without a name, and what is local, is not asked for by name.
CONSTRUCTOR = re.compile(r"(.*#)`?(?:<constructor>|__init__)`?\(\)\.")
UNNAMED = re.compile(r"^local |typeLiteral\d|<constructor>")
KINDS = (("().", "function"), ("!", "macro"), ("#", "type"))
# scip-python says of the first `def` of a name alone that it defines it: of overloads, and of a property that is set.
DEFINES = re.compile(rb"\bdef[ \t]+$")


def main():
    top = pathlib.Path(sys.argv[2])
    documents = {}
    for number, value in fields(pathlib.Path(sys.argv[1]).read_bytes()):
        if number == 2:
            path, encoding, occurrences = document(value)
            documents.setdefault(path, (encoding, set()))[1].update(occurrences)
    sources, places, names = {}, {}, {}
    for path, (encoding, occurrences) in documents.items():
        if not (top / path).is_file():
            continue
        source = sources[path] = (top / path).read_bytes().split(b"\n")
        for occurrence in list(occurrences):
            position, symbol, roles = occurrence
            if path.endswith(".py") and within_a_line(position, source) and DEFINES.search(source[position[0]][: position[1]]):
                occurrences.remove(occurrence)
                occurrences.add((position, symbol, roles | 1))
                roles |= 1
            if roles & 1:
                places.setdefault(key(path, symbol), set()).add((path, position[0] + 1))
                names[key(path, symbol)] = text(position, source, encoding)
    for path, source in sorted(sources.items()):
        encoding, occurrences = documents[path]
        show(file=path)
        defined = {position for position, _, roles in occurrences if roles & 1}
        for position, symbol, roles in sorted(occurrences):
            if not symbol or not within_a_line(position, source):
                continue
            line = source[position[0]]
            start, end = (byte_of(line, column, encoding) for column in (position[1], position[-1]))
            name = text(position, source, encoding)
            fact = {"at": (path, position[0] + 1), "kind": kind_of(symbol)}
            if roles & 1:
                if fact["kind"] and name and not UNNAMED.search(symbol):
                    show(definition=name, **fact)
            elif position not in defined and name:
                targets = places.get(key(path, symbol), set())
                constructed = CONSTRUCTOR.fullmatch(symbol)
                if constructed:
                    targets = targets | places.get(constructed[1], set())
                call = is_call(line, start, end, path, symbol)
                if call and not targets and not fact["kind"]:
                    show(unknown=name, at=fact["at"])  # A module that was not found gives such names to whatever it holds.
                    continue
                # What is no function for sure may be a parameter: its definition stands in the line of a function of another name.
                named = {} if fact["kind"] else {"named": names.get(key(path, symbol), name)}
                show(reference=name, call=call, targets=sorted(targets), **named, **fact)


def text(position, source, encoding):
    if not within_a_line(position, source):
        return ""
    line = source[position[0]]
    start, end = (byte_of(line, column, encoding) for column in position[1:])
    return line[start:end].decode(errors="replace").strip("`")


def within_a_line(position, source):
    return len(position) == 3 and position[0] < len(source)


def is_call(line, start, end, path, symbol):
    before, after = line[:start].rstrip(), line[end:]
    called = CALLED.match(after)
    if path.endswith(".rs"):
        # A tuple struct in a pattern looks like its construction: only functions are called for sure.
        return bool(called) and symbol.endswith("().") and not after.startswith((b"!", b"[", b"{")) and called[0].endswith(b"(")
    if before.endswith((b" new", b"(new", b"\tnew", b"=new", b"[new")) or before == b"new":
        return True
    if called and called[0].count(b"<") != called[0].count(b">"):
        return False  # The parameter of a generic type, in its declaration.
    if OBJECT_METHOD.match(after) and not path.endswith(".py"):
        return False
    if path.endswith((".tsx", ".jsx")) and before.endswith(b"<") and not before.endswith((b"=<", b" <<")):
        return True
    return bool(called) and called[0].endswith(b"(") and not called[0].startswith(b"!")


def kind_of(symbol):
    return next((kind for ending, kind in KINDS if symbol.endswith(ending)), None)


def key(path, symbol):
    """A local symbol is one of its document alone."""
    return (path, symbol) if symbol.startswith("local ") else symbol


def byte_of(line, column, encoding):
    """The position of a column in bytes; 1 counts bytes, 3 characters, anything else UTF-16."""
    if encoding == 1 or line.isascii():
        return column
    text = line.decode(errors="replace")
    if encoding == 3:
        return len(text[:column].encode())
    return len(text.encode("utf-16-le")[: 2 * column].decode("utf-16-le", errors="ignore").encode())


def document(data):
    path, encoding, occurrences = "", 0, []
    for number, value in fields(data):
        if number == 1:
            path = value.decode()
        elif number == 6:
            encoding = value
        elif number == 2:
            position, symbol, roles = [], "", 0
            for inner, content in fields(value):
                if inner == 1:
                    position = numbers(content) if isinstance(content, bytes) else position + [content]
                elif inner == 2:
                    symbol = content.decode()
                elif inner == 3:
                    roles = content
            occurrences.append((tuple(position), symbol, roles))
    return path, encoding, occurrences


def fields(data):
    """Yields (field, number or bytes) of one message."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            size = {1: 8, 5: 4}[kind]
            value, at = data[at : at + size], at + size
        yield tag >> 3, value


def numbers(data):
    at, found = 0, []
    while at < len(data):
        value, at = varint(data, at)
        found.append(value)
    return found


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def show(**fact):
    print(json.dumps(fact))


main()
