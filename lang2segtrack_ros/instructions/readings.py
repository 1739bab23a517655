# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The readings of a parsed sentence: to which noun each relation belongs.

English leaves this open: in "the cup on the box left of the mug", the cup or the box is left of the mug. A sentence is a flat list of
nouns and relations. Each relation may belong to any noun on the path from the target to the last noun, which gives all readings without
crossing relations. The rules that exclude readings:

* A clause with "that is" describes the target, or the exception if it stands behind "except".
* "and" before a relation adds it to a noun that already has one.
* "and" before a noun starts a target, or gives the last relation one more reference. A comma starts a target.
* A relation behind a list, such as "the cup and the plate on the tray", belongs to the last target or to all.
* After "except", all further nouns are exceptions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from lark import Token, Tree

from lang2segtrack_ros.instructions.noun_phrases import described, is_adjective, noun_phrase
from lang2segtrack_ros.instructions.plan import GENERIC, Condition, InstructionError, NounPhrase, Order, Plan, Quantity, Rank, Relation

MAX_READINGS = 24
"""Maximum number of readings of a sentence. More are refused, because nobody reads a list of them."""
_OF_ONE = frozenset([Relation.BETWEEN, Relation.IS])
"""Relations that take no further reference behind "and"."""


@dataclass(frozen=True)
class _Link:
    """The connection of a noun to the one that it describes.

    Attributes:
        relation: relation to the describing noun. None for an exception or a rank.
        negated: True for the negated relation.
        earlier: references before this one.
        rank: rank without its reference. None for no rank.
    """

    relation: Relation | None = None
    negated: bool = False
    earlier: tuple[NounPhrase, ...] = ()
    rank: Rank | None = None

    def joined(self, owner: NounPhrase, reference: NounPhrase) -> NounPhrase:
        """Return the owner with this connection to a complete reference."""
        if self.rank is not None:
            quantity = Quantity(owner.quantity.count or 1) if owner.quantity.exact else owner.quantity
            return replace(owner, rank=replace(self.rank, reference=reference), quantity=quantity)
        if self.relation is None:
            return replace(owner, exceptions=(*owner.exceptions, reference))
        condition = Condition(self.relation, (*self.earlier, reference), negated=self.negated)
        return replace(owner, conditions=(*owner.conditions, condition))


_Open = tuple[NounPhrase, _Link]


@dataclass(frozen=True)
class _State:
    """One reading of the first part of a sentence.

    Attributes:
        done: complete targets.
        path: the nouns from the present target to the last noun, each with its connection to the noun before it.
        root: index of the noun in `path` that a clause describes: 0 for the target, 1 for an exception.
        listed: number of targets without relations before the present one.
        ends_list: True if "and" stands before the present target.
        shared: number of targets before the present one that get its conditions, too.
    """

    done: tuple[NounPhrase, ...]
    path: tuple[_Open, ...]
    root: int = 0
    listed: int = 0
    ends_list: bool = False
    shared: int = 0

    def closed(self, depth: int) -> _State:
        """Return the state with the nouns behind a depth joined to their owners."""
        path = self.path
        while len(path) > depth + 1:
            (owner, link), (reference, connection) = path[-2:]
            path = (*path[:-2], (connection.joined(owner, reference), link))
        return replace(self, path=path)

    def linked(self, depth: int, link: _Link, noun: NounPhrase) -> _State:
        """Return the state with a noun that describes the noun at a depth."""
        state = self.closed(depth)
        return replace(state, path=(*state.path, (noun, link)))

    def with_condition(self, depth: int, condition: Condition) -> _State:
        """Return the state with a condition without references on the noun at a depth."""
        state = self.closed(depth)
        owner, link = state.path[-1]
        return replace(state, path=(*state.path[:-1], (replace(owner, conditions=(*owner.conditions, condition)), link)))

    def with_target(self, noun: NounPhrase, ends_list: bool) -> _State:
        """Return the state with the present target complete and a new one."""
        return _State(self.targets, ((noun, _Link()),), listed=self.listed + 1 if self.is_plain else 0, ends_list=ends_list)

    @property
    def is_plain(self) -> bool:
        """Return True if the present target has neither relations nor exceptions yet."""
        return len(self.path) == 1 and not self.path[0][0].conditions and not self.path[0][0].exceptions

    @property
    def targets(self) -> tuple[NounPhrase, ...]:
        """Return all targets."""
        last = self.closed(0).path[0][0]
        first = len(self.done) - self.shared
        return (*self.done[:first], *(replace(item, conditions=last.conditions) for item in self.done[first:]), last)


def plans(sentence: Tree) -> tuple[Plan, ...]:
    """Return the readings of a sentence of the grammar, without repeats.

    Raises:
        InstructionError: the sentence contradicts itself, or has more than `MAX_READINGS` readings.
    """
    return tuple(dict.fromkeys(Plan(state.targets) for state in _states(sentence, None)))


def _states(sentence: Tree, antecedent: NounPhrase | None) -> list[_State]:
    first, *links = sentence.children
    states = [_State((), ((noun_phrase(first, antecedent), _Link()),))]
    for link in links:
        states = list(dict.fromkeys(after for state in states for after in _after(state, link)))
        if not states:
            raise InstructionError(
                f'the grammar finds no noun that takes "{_words(link)}": a second order, a plural without a number for "nearest to", '
                'and "and" without an earlier relation are not read'
            )
        if len(states) > MAX_READINGS:
            raise InstructionError(
                f"the sentence has more than {MAX_READINGS} readings: group with parentheses, such as left of (the cup on the table), "
                "or give several instructions"
            )
    for state in states:
        _check_between(state)
    return states


def _after(state: _State, link: Tree) -> Iterator[_State]:
    """Yield the states after a link. Behind a list, a relation may describe all its targets."""
    for after in _LINKS[link.data](state, link):
        yield after
        is_shared = state.ends_list and state.listed and state.is_plain and link.data in _DESCRIBING
        if is_shared and after.path[0][0].rank == state.path[0][0].rank and after.path[-1][1].rank is None:
            yield replace(after, shared=state.listed)


def _words(tree: Tree) -> str:
    tokens = tree.scan_values(lambda value: isinstance(value, Token))
    return " ".join(str(token).lower().replace("_", " ") for token in tokens)


def _check_between(state: _State) -> None:
    """Raise InstructionError if "between" has one reference that stands for one object."""
    conditions = [condition for target in state.targets for part in target.parts() for condition in part.conditions]
    for condition in conditions:
        is_alone = condition.relation is Relation.BETWEEN and len(condition.references) == 1
        if is_alone and condition.references[0].quantity.count not in (None, 2):
            raise InstructionError('"between" needs two objects: write "between the cup and the plate"')


def _references(tree: Tree, antecedent: NounPhrase) -> list[NounPhrase]:
    """Return the readings of a reference: one for a noun, several for a group in parentheses."""
    if tree.data == "itself":
        raise InstructionError("no object has a relation to itself: name another object")
    if tree.data == "noun":
        return [noun_phrase(tree, antecedent)]
    readings = [state.targets for state in _states(tree.children[1], antecedent)]
    if any(len(targets) > 1 for targets in readings):
        raise InstructionError("parentheses hold one noun with its relations: write further objects outside of them")
    return list(dict.fromkeys(targets[0] for targets in readings))


def _antecedent(state: _State) -> NounPhrase:
    return state.path[0][0]


def _types(tree: Tree) -> dict[str, str]:
    return {child.type: str(child) for child in tree.children if isinstance(child, Token)}


def _related(state: _State, tree: Tree, depths: list[int], negated: bool = False) -> Iterator[_State]:
    """Yield the states with a relation of the noun at each depth."""
    tokens = _types(tree)
    reference = tree.children[-1]
    negated = negated or "NOT" in tokens
    for depth in depths:
        owner = state.closed(depth).path[-1][0]
        if tree.data == "compared" and reference.data == "distance":
            number, unit = (float(token) for token in reference.children[:2])
            yield state.with_condition(depth, Condition(Relation[tokens["DISTANCE"]], meters=number * unit, negated=negated))
            continue
        link = _link(tree.data, tokens, owner, negated)
        if link is not None:
            for noun in _references(reference, _antecedent(state)):
                yield state.linked(depth, link, noun)


def _link(kind: str, tokens: dict[str, str], owner: NounPhrase, negated: bool) -> _Link | None:
    """Return the connection for a relation, or None if this owner cannot have it."""
    if kind == "ranked_from":
        order = Order.NEAREST if "TO" in tokens else Order.FARTHEST
        fits = owner.rank is not None and owner.rank.order is order and owner.rank.reference is None
        return _Link(rank=owner.rank) if fits else None
    if kind == "ranked":
        if owner.rank is not None or owner.quantity.count is None:
            return None  # "all boxes nearest to the cup" names no number of boxes
        return _Link(rank=Rank(Order[tokens["ORDER_TO"]], int(tokens.get("ORDINAL", "1"))))
    return _Link(Relation.BETWEEN if kind == "between" else Relation[tokens.get("RELATION") or tokens["DISTANCE"]], negated)


def _relation(state: _State, tree: Tree) -> Iterator[_State]:
    yield from _related(state, tree, list(range(state.root, len(state.path))))


def _and_relation(state: _State, tree: Tree) -> Iterator[_State]:
    last = len(state.path) - 1
    owners = [depth for depth in range(state.root, last + 1) if depth < last or state.path[depth][0].conditions]
    yield from _related(state, tree.children[-1], owners)


def _that_relation(state: _State, tree: Tree) -> Iterator[_State]:
    yield from _related(state, tree.children[-1], [state.root])


def _that_noun(state: _State, tree: Tree) -> Iterator[_State]:
    if state.ends_list and state.listed and state.is_plain:
        raise InstructionError('"that is" behind a list may describe one object or all: write it behind each noun')
    owner = state.closed(state.root).path[-1][0]
    noun = tree.children[-1]
    kind = described(noun, owner) if is_adjective(noun) else noun_phrase(noun, owner)
    if kind.rank is not None:
        raise InstructionError('"that is" takes no order: write it before the noun, such as "the largest box"')
    if kind.noun == GENERIC:
        raise InstructionError('"that is" takes no "object" or "one": name a kind of object, such as "that is not a tool"')
    link = _Link(Relation.IS, "NOT" in _types(tree))
    yield state.linked(state.root, link, replace(kind, quantity=Quantity(None, exact=False)))


def _exception(state: _State, tree: Tree) -> Iterator[_State]:
    closed = state.closed(0)
    noun, target = tree.children[-1], closed.path[0][0]
    kind = described(noun, target) if is_adjective(noun) and "NOT" in _types(tree) else noun_phrase(noun, target)
    if not kind.quantity.exact and kind.quantity.count == 1:
        kind = replace(kind, quantity=Quantity(None, exact=False))  # "not a tool" leaves out every tool
    yield replace(closed.linked(0, _Link(), kind), root=1)


def _and_noun(state: _State, tree: Tree) -> Iterator[_State]:
    noun = noun_phrase(tree.children[-1], _antecedent(state))
    if state.root == 1:
        yield replace(state.closed(0).linked(0, _Link(), noun), root=1)
        return
    for depth in range(len(state.path) - 1, 0, -1):
        _, link = state.path[depth]
        if link.relation is Relation.BETWEEN and not link.earlier and state.path[depth][0].quantity.count == 1:
            yield _with_reference(state, depth, noun)  # between needs two, so the noun cannot be a target
            return
    yield state.with_target(noun, ends_list=True)
    for depth in range(1, len(state.path)):
        relation = state.path[depth][1].relation
        if relation is not None and relation not in _OF_ONE:
            yield _with_reference(state, depth, noun)


def _with_reference(state: _State, depth: int, noun: NounPhrase) -> _State:
    """Return the state with one more reference of the relation whose last reference is the noun at a depth."""
    closed = state.closed(depth)
    reference, link = closed.path[-1]
    return replace(closed, path=(*closed.path[:-1], (noun, replace(link, earlier=(*link.earlier, reference)))))


def _next_noun(state: _State, tree: Tree) -> Iterator[_State]:
    noun = noun_phrase(tree.children[-1], _antecedent(state))
    yield replace(state.closed(0).linked(0, _Link(), noun), root=1) if state.root == 1 else state.with_target(noun, "AND" in _types(tree))


_DESCRIBING = frozenset(["plain", "between", "compared", "that_relation"])
"""Links that may describe all targets of a list."""
_LINKS: dict[str, Callable[[_State, Tree], Iterator[_State]]] = {
    **dict.fromkeys(("plain", "between", "compared", "ranked", "ranked_from"), _relation),
    "and_relation": _and_relation,
    "that_relation": _that_relation,
    "that_noun": _that_noun,
    "exception": _exception,
    "and_noun": _and_noun,
    "next_noun": _next_noun,
}
