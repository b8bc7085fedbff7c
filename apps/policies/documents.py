"""YAML read so that every value knows its line and column, and so that no text can hurt the reader."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from apps.policies.sections import Problem, Where

MOST_CHARACTERS = 256 * 1024
MOST_VALUES = 20_000
DEEPEST = 20
_LONGEST_NUMBER = 15

_STR, _INT, _FLOAT, _BOOL, _NULL, _TIME = (
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp")
)
_PLAIN_INT = re.compile(r"-?(0|[1-9]\d*)")
_PLAIN_FLOAT = re.compile(r"-?\d+\.\d+")


@dataclass(frozen=True, slots=True)
class Mark:
    line: int
    column: int


@dataclass(slots=True)
class Document:
    """A parsed text: plain values, the mark of every value and of every key, and what was wrong with it."""

    value: Any = None
    values: dict[Where, Mark] = field(default_factory=dict)
    keys: dict[Where, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, where: Where, message: str, *, at_key: bool = False) -> Problem:
        """A problem at `where`, or at the nearest place above it that stands in the text."""
        marks = self.keys if at_key and where in self.keys else self.values
        known = where
        while known and known not in marks:
            known = known[:-1]
        mark = marks.get(known, Mark(0, 0))
        return Problem(mark.line, mark.column, path_text(where), message)


class _Refused(Exception):
    def __init__(self, node: Node, where: Where, message: str) -> None:
        super().__init__(message)
        self.node, self.where, self.message = node, where, message


def path_text(where: Where) -> str:
    """A place for people: `escalation.path[2].roles`."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


class _BoundedLoader(yaml.SafeLoader):
    """Composes nodes only; stops at a depth where Python's own stack is still safe."""

    _depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self._depth += 1
        if self._depth > DEEPEST:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # of the stubs
            raise yaml.MarkedYAMLError(problem=f"nested more than {DEEPEST} levels deep", problem_mark=mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def read(text: str) -> Document:
    """Parse one YAML document. Never raises for a bad text: what is wrong stands in `problems`."""
    document = Document()
    if len(text) > MOST_CHARACTERS:
        message = f"The text has {len(text)} characters; at most {MOST_CHARACTERS} are allowed."
        document.problems.append(Problem(0, 0, "", message))
        return document
    node = _compose(text, document)
    if node is not None:
        document.value = _Builder(document).build(node, (), 1)
    elif not document.problems:
        document.problems.append(Problem(0, 0, "", "The text is empty."))
    return document


def _compose(text: str, document: Document) -> Node | None:
    loader: _BoundedLoader | None = None
    try:
        loader = _BoundedLoader(text)
        return loader.get_single_node()
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        message = f"The character U+{ord(text[error.position]):04X} is not allowed."
        document.problems.append(Problem(line, column, "", message))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        said = " ".join(part for part in (error.context, error.problem) if part)
        document.problems.append(Problem(line, column, "", f"This is not valid YAML: {said}."))
    except (ValueError, OverflowError):  # PyYAML lets these out of escapes such as "\UFFFFFFFF"
        line = loader.line + 1 if loader else 0
        message = "This is not valid YAML: an escape names a character that does not exist."
        document.problems.append(Problem(line, 1 if line else 0, "", message))
    finally:
        if loader is not None:
            loader.dispose()
    return None


class _Builder:
    """Turns nodes into plain values and notes where each stood. Aliases count each time they are used."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.count = 0

    def build(self, node: Node, where: Where, depth: int) -> Any:
        try:
            return self._value(node, where, depth)
        except _Refused as refused:
            mark = refused.node.start_mark
            self.document.problems.append(
                Problem(mark.line + 1, mark.column + 1, path_text(refused.where), refused.message)
            )
            return None

    def _value(self, node: Node, where: Where, depth: int) -> Any:
        self.count += 1
        if self.count > MOST_VALUES:
            raise _Refused(node, where, f"The text has more than {MOST_VALUES} values, aliases counted each time.")
        if depth > DEEPEST:
            raise _Refused(node, where, f"This is nested more than {DEEPEST} levels deep.")
        self.document.values[where] = Mark(node.start_mark.line + 1, node.start_mark.column + 1)
        if isinstance(node, MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return self._mapping(node, where, depth)
        if isinstance(node, SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return [self._value(item, (*where, index), depth + 1) for index, item in enumerate(node.value)]
        if isinstance(node, ScalarNode):
            return _scalar(node, where)
        raise _Refused(node, where, f"The tag {node.tag} is not allowed.")

    def _mapping(self, node: MappingNode, where: Where, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode) or not _is_text_key(key_node):
                raise _Refused(key_node, where, "A key must be text; put quotes around it.")
            key = _text(key_node, where)
            place = (*where, key)
            if key in found:
                first = self.document.keys[place].line
                raise _Refused(key_node, place, f"The key `{key}` is given twice; the first is in line {first}.")
            self.document.keys[place] = Mark(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            found[key] = self._value(value_node, place, depth + 1)
        return found


def _is_text_key(node: ScalarNode) -> bool:
    """Keys are text. YAML 1.1 also takes `on` or `no` for truth values, but as keys they mean themselves."""
    return node.tag == _STR or (node.tag == _BOOL and node.value.lower() not in ("true", "false"))


def _text(node: ScalarNode, where: Where) -> str:
    text = str(node.value)
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
        raise _Refused(node, where, "The text has a character that can't be stored (U+0000 or half a surrogate pair).")
    return text


def _scalar(node: ScalarNode, where: Where) -> str | int | float | bool | None:
    """Only what cannot be misread: YAML 1.1 would also take `no` for false and `1:30` for ninety."""
    text = _text(node, where)
    if node.tag in (_STR, _TIME):
        return text
    if node.tag == _NULL:
        return None
    if node.tag == _BOOL:
        if text not in ("true", "false"):
            raise _Refused(node, where, f"Write true or false, or put quotes around {text!r} if it is text.")
        return text == "true"
    if node.tag == _INT and _PLAIN_INT.fullmatch(text) and len(text) <= _LONGEST_NUMBER:
        return int(text)
    if node.tag == _FLOAT and _PLAIN_FLOAT.fullmatch(text) and len(text) <= _LONGEST_NUMBER:
        return float(text)
    if node.tag in (_INT, _FLOAT):
        raise _Refused(node, where, f"{text!r} is not a plain number; put quotes around it if it is text.")
    raise _Refused(node, where, f"The tag {node.tag} is not allowed.")
