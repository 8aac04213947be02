"""Which column of a table is the user, the item, the rating, the time and the title."""

from __future__ import annotations

import collections
import difflib
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxrec.data._texts import short, some
from jaxrec.errors import DataError

Columns = Mapping[str, str | int | None] | Sequence[str | None]

ROLES = ("user", "item", "rating", "timestamp", "title")

# Common names of each role, in order of preference, in lower case without spaces and punctuation. Names of date
# columns are left out: they often hold text, which would turn a readable file into an error.
_ALIASES = types.MappingProxyType(
    {
        "user": (
            *("user", "userid", "uid", "reviewerid", "customerid", "visitorid", "personid", "clientid", "memberid"),
            *("accountid", "buyerid", "customer", "client", "buyer"),
        ),
        "item": (
            *("item", "itemid", "iid", "movieid", "movie", "asin", "parentasin", "productid", "businessid", "bookid"),
            *("isbn", "songid", "trackid", "artistid", "articleid", "venueid", "locationid"),
            *("sku", "productcode", "itemcode", "videoid", "gameid", "recipeid", "product", "article"),
        ),
        "rating": ("rating", "ratings", "stars", "score", "overall"),
        "timestamp": ("timestamp", "time", "ts", "unixtime", "unixreviewtime"),
        "title": (
            *("title", "movietitle", "itemtitle", "itemname", "moviename", "producttitle", "productname"),
            *("booktitle", "bookname", "songtitle", "songname", "tracktitle", "trackname", "articletitle"),
        ),
    }
)

# Names, in lower case, that a role may hide behind: told in a note, never taken unasked.
_LIKELY = types.MappingProxyType(
    {
        "rating": re.compile(r"rating|score|stars|grade"),
        "timestamp": re.compile(r"date|time|(^|_)(at|on)$|_ts$|created|ordered"),
        "title": re.compile(r"name|title"),
    }
)


_SHOWN = 12  # columns that a note or message names


def familiar(names: Iterable[str]) -> set[str]:
    """Give the roles that have a column with a common name.

    >>> sorted(familiar(["userId", "movie_id", "x"]))
    ['item', 'user']
    """
    plain = set(map(_plain, names))
    return {role for role, aliases in _ALIASES.items() if not plain.isdisjoint(aliases)}


def wanted_columns(columns: Columns | None) -> dict[str, str | int | None]:
    """Check the stated columns, and make them a mapping of role to name or position.

    Args:
      columns: role to name or position, None for "leave it out"; or the role of each column in order, None for a
        column to skip.

    Raises:
      DataError: an unknown role, a role that occurs twice, or a column that is neither name nor position.

    >>> wanted_columns(("item", None, "user"))
    {'user': 2, 'item': 0, 'rating': None, 'timestamp': None, 'title': None}
    """
    if columns is None:
        return {}
    if isinstance(columns, Mapping):
        for role, value in columns.items():
            if role not in ROLES and (meant := _meant(role, columns)) is not None and value not in ROLES:
                said = {meant if each == role else each: column for each, column in columns.items()}
                raise DataError(
                    f"columns has {role!r}, which is no role; did you mean columns={said!r}? the roles are "
                    f"{', '.join(ROLES)}"
                )
            if role not in ROLES:
                turned = f", the other way around: columns={{{value!r}: {role!r}}}" if value in ROLES else ""
                raise DataError(
                    f"columns has {role!r}, which is no role; map the roles {', '.join(ROLES)} to names or "
                    f"positions{turned}"
                )
            if not (value is None or (isinstance(value, (str, int)) and value is not True)):
                raise DataError(
                    f"columns has {role!r}: {value!r}; map the roles {', '.join(ROLES)} to names or positions"
                )
        return dict(columns)
    if isinstance(columns, str) or not isinstance(columns, Sequence):
        raise DataError(f"columns is {columns!r}; pass a mapping of role to column, or the role of each column")
    out: dict[str, str | int | None] = dict.fromkeys(ROLES)
    for at, role in enumerate(columns):
        if role is not None:
            if role not in ROLES:
                raise DataError(f"columns has {role!r} at place {at}, which is no role; {_for_names(columns, role)}")
            if out[role] is not None:
                raise DataError(f"columns has {role!r} at place {at}; name each of {', '.join(ROLES)} at most once")
            out[role] = at
    return out


def _meant(word: object, given: Iterable[object]) -> str | None:
    """The role that a word which is none stands for, by a common name or its letters; None for none or a given one."""
    if not isinstance(word, str):
        return None
    near = difflib.get_close_matches(word.lower(), ROLES, n=1, cutoff=0.75)
    role = next((role for role, aliases in _ALIASES.items() if _plain(word) in aliases), near[0] if near else None)
    return None if role in given else role


def _for_names(columns: Sequence[str | None], word: str) -> str:
    """The remedy where a sequence of roles has another word: the role that it looks like, or a mapping of roles."""
    typed = isinstance(word, str) and not any(_plain(word) in aliases for aliases in _ALIASES.values())
    near = difflib.get_close_matches(word.lower(), ROLES, n=1, cutoff=0.75) if typed else []
    roles = f"the roles are {', '.join(ROLES)}"
    if near and near[0] not in columns:
        return f"did you mean {near[0]}? {roles}"
    said: dict[str, str | int] = {role: at for at, role in enumerate(columns) if role in ROLES and role is not None}
    for one in columns:
        role = _meant(one, said) or next((role for role in ROLES if role not in (*said, *columns)), None)
        if isinstance(one, str) and one not in ROLES and role is not None:
            said[role] = short(one)
    ordered = {role: said[role] for role in ROLES if role in said}
    return f"if these are names of columns, write columns={ordered!r}; {roles}"


def _example(
    names: Sequence[str], wanted: Mapping[str, str | int | None], required: Sequence[str]
) -> dict[str, str | int | None]:
    """What could be stated where a required role has no column: what was stated, and a free column for each such role.

    Args:
      names: of the columns.
      wanted: what was stated, role to name or position.
      required: the roles that must have a column.

    Returns:
      Role to column; empty where the free columns do not suffice.

    >>> _example(["Kunde", "Artikel", "when"], {}, ["user", "item"])
    {'user': 'Kunde', 'item': 'Artikel'}
    >>> _example(["movieId", "who"], {}, ["user", "item"])
    {'user': 'who'}
    """
    taken = {at for at, name in enumerate(names) if name in wanted.values() or at in wanted.values()}
    common = {
        role: [at for at, name in enumerate(names) if _plain(name) in aliases]
        for role, aliases in _ALIASES.items()
        if wanted.get(role, role) == role
    }
    taken |= {at for places in common.values() for at in places}
    free = [name for at, name in enumerate(names) if at not in taken]
    lacking = [role for role in required if not common.get(role) and wanted.get(role, role) in (role, None)]
    if len(free) < len(lacking):
        return {}
    stated = {role: column for role, column in wanted.items() if column is not None or len(wanted) < len(ROLES)}
    chosen = {**stated, **dict(zip(lacking, map(short, free), strict=False))}
    return {role: chosen[role] for role in ROLES if role in chosen}


def find_columns(
    names: Sequence[str],
    wanted: Mapping[str, str | int | None],
    where: str,
    required: tuple[str, ...] = ("user", "item"),
    remedy: str | None = None,
) -> dict[str, int]:
    """Find the column of each role, by its stated name or position, or by a common name.

    A role whose stated name is the role's own name ("user") and which has no such column takes a column with a common
    name: letters and digits are compared, without case ("userId" and "USER_ID" are "userid").

    Args:
      names: the names of the columns, in order.
      wanted: role to column name, position from 0, or None to leave the role out. A role that is not there stands for
        its own name.
      where: what the columns are of, the start of each message.
      required: the roles that must have a column.
      remedy: what a message proposes where one has none; None for columns that could be stated.

    Returns:
      Role to position. Roles that are not required are not in it where there is no such column.

    Raises:
      DataError: a stated or required column is missing; a name occurs twice; two columns are equally good;
        one column has two roles.

    >>> find_columns(["movieId", "userId", "when"], {"timestamp": "when"}, "frame")
    {'user': 1, 'item': 0, 'timestamp': 2}
    """
    unknown = [role for role in wanted if role not in ROLES]
    if unknown:
        raise DataError(f"{where}: columns names the unknown role {unknown[0]!r}; the roles are {', '.join(ROLES)}")
    twice = next((name for name, count in collections.Counter(names).items() if name and count > 1), None)
    if twice is not None:
        raise DataError(f"{where}: column {short(twice)!r} occurs more than once; rename one of them")
    places = {name: at for at, name in reversed(list(enumerate(names)))}
    plain: dict[str, list[int]] = collections.defaultdict(list)
    for at, name in enumerate(names):
        plain[_plain(name)].append(at)
    have = f"the columns are {some(names, _SHOWN)}" if names else "there is no column"
    found: dict[str, int] = {}
    for role in ROLES:
        given = wanted.get(role, role)
        at = None
        if isinstance(given, int) and not isinstance(given, bool):
            if not 0 <= given < len(names):
                raise DataError(f"{where}: {role} is to be column {given}, outside 0..{len(names) - 1}; {have}")
            at = given
        elif isinstance(given, str) and given in places:
            at = places[given]
        elif given == role:
            for alias in _ALIASES[role]:
                hits = plain.get(alias, [])
                if len(hits) > 1:
                    both = " and ".join(repr(short(names[place])) for place in hits[:3])
                    raise DataError(f"{where}: {both} could both be the {role}; say which one is")
                if hits:
                    at = hits[0]
                    break
        elif given is not None:
            known = {each: name for each, name in wanted.items() if not isinstance(name, str) or name in places}
            said = _example(names, known, required) if role in required else {}
            example = f"; say which one it is, for example columns={said!r}" if role in said else ""
            raise DataError(f"{where}: no column {short(str(given))!r} for the {role}; {have}{example}")
        if at is None and role in required:
            said = _example(names, wanted, required) if "user" in required else {}
            example = f", for example columns={said!r}" if said else ""
            raise DataError(f"{where}: no column for the {role}; {have}; {remedy or f'say which one it is{example}'}")
        if at is None:
            continue
        if at in found.values():
            other = next(name for name, place in found.items() if place == at)
            raise DataError(
                f"{where}: column {short(str(names[at]))!r} is to be both {other} and {role}; give each its own"
            )
        found[role] = int(at)
    return found


def describe(
    names: Sequence[str], found: Mapping[str, int], wanted: Mapping[str, Any] = types.MappingProxyType({})
) -> str:
    """Name the taken and the first of the unused columns, for a note.

    Args:
      names: of all columns.
      found: role to the place of its column.
      wanted: what was stated of roles; no column is proposed for one that is to be left out.

    >>> describe(["u", "i", "ordered_at"], {"user": 0, "item": 1})
    "user = 'u', item = 'i'; left out: 'ordered_at' (the timestamp? columns={'timestamp': 'ordered_at'})"
    >>> describe(["u", "i", "ordered_at"], {"user": 0, "item": 1}, {"timestamp": None})
    "user = 'u', item = 'i'; left out: 'ordered_at'"
    """
    used = set(found.values())
    taken = [f"{role} = {short(names[at])!r}" for role, at in found.items()]
    left = [name for at, name in enumerate(names) if at not in used]
    rest = []
    for name in left[:_SHOWN]:
        free = [role for role in _LIKELY if role not in found and wanted.get(role, "") is not None]
        role = next((role for role in free if _LIKELY[role].search(name.lower())), "")
        name = short(name)
        rest.append(f"{name!r} (the {role}? columns={{{role!r}: {name!r}}})" if role else repr(name))
    more = f" and {len(left) - _SHOWN:,} more" if len(left) > _SHOWN else ""
    used_for = ", ".join(taken[:_SHOWN]) + (f" and {len(taken) - _SHOWN:,} more" if len(taken) > _SHOWN else "")
    return used_for + (f"; left out: {', '.join(rest)}{more}" if rest else "")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
