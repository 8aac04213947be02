"""The options of reading, filtering and splitting, which many commands share."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from tyro import conf

from jaxrec.cli._parsing import Switch, optional


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions:
    """The options of reading, filtering and splitting.

    Attributes:
      test_file: the test part of a published split; DATA is then the file of its training part.
      valid_file: its validation part.
      overlap: a pair of user and item in two of these files is an error ("raise"), or dropped from the later one.
      items: a file with titles, or none; by default the one beside DATA by its name, such as movies.csv.
      item_columns: of that file, such as item=sku title=label, where its header has other names.
      format: of the files, see jaxrec.read, or package.module:Class; found by content and name by default.
      columns: the column of each role ("user=customer item=sku"); by name or position from 0, - for none ("rating=-");
        or the role of each column in order, - for none ("user item - rating"). The roles are user, item, rating,
        timestamp, title.
      delimiter: between the columns.
      header: the first line names the columns.
      no_header: the first line is data.
      quotes: double quotes enclose values, also over several lines.
      no_quotes: double quotes are part of the values.
      decimal: what stands before the decimals of ratings and times, "." or ",".
      time_format: the unit of times that are numbers (s, ms, us, ns), or the form of dates that are not ISO 8601, such
        as "%d.%m.%Y %H:%M".
      missing: a row whose user or item is empty or a word such as NaN or NULL is an error ("raise"), left out ("drop"),
        or has that word for an id ("keep").
      encoding: of the text; by default UTF-8, or the one of the format.
      data_dir: a folder that holds the folders of named data sets.
      raw: take the data as they are, without the filters of a named data set and without de-duplication.
      repeats: the interaction of a repeated pair of user and item that counts, by time or rating, or keep for all; by
        default last, and keep of a published split. With last, a split by time moves a repeated pair towards the test.
      duplicates: the name of 0.1 for --repeats.
      min_rating: keep ratings of at least this; by default the bound of a named data set, and all ratings of a file.
      k_core: keep users and items with so many interactions or more; again and again, until all of them have. By
        default the bound of a named data set.
      k_core_on: "data" applies the k-core before the split, "train" to the training part alone.
      split: user_temporal, user_random, user_order, random, global_temporal, leave_one_out, user_kfold or
        predefined, or package.module:Class; by default predefined where the data carry a published split,
        user_temporal where they have timestamps, or user_random.
      test: the fraction held out for the test; by default 0.2.
      valid: the fraction held out for validation; by default 0.1, and none of a published split.
      valid_order: of predefined, "random", or "data" to hold out the last ones of each user in the order of the file.
      ties: of equal timestamps, "shuffle" or "together".
      order: of leave_one_out and user_kfold, "time" or "random".
      folds: of user_kfold, their number.
      fold: of user_kfold, the tested one, from 0.
      split_seed: seed of the split, apart from --seed, so that several seeds are measured on one split.
    """

    test_file: Annotated[str | None, optional("FILE")] = None
    valid_file: Annotated[str | None, optional("FILE")] = None
    overlap: Annotated[str | None, optional("{raise,drop}")] = None
    items: Annotated[str | None, optional("FILE")] = None
    item_columns: Annotated[tuple[str, ...], optional("ROLE=COLUMN ...")] = ()
    format: Annotated[str | None, optional("FORMAT")] = None
    columns: Annotated[tuple[str, ...], optional("COLUMN ...")] = ()
    delimiter: Annotated[str | None, optional("TEXT")] = None
    header: Switch = False
    no_header: Switch = False
    quotes: Switch = False
    no_quotes: Switch = False
    decimal: Annotated[str | None, optional("{.|,}")] = None
    time_format: Annotated[str | None, optional("FORMAT")] = None
    missing: Annotated[str | None, optional("{raise,drop,keep}")] = None
    encoding: Annotated[str | None, optional("NAME")] = None
    data_dir: Annotated[str | None, optional("FOLDER")] = None
    raw: Switch = False
    repeats: Annotated[str | None, optional("{first,last,highest,lowest,keep}")] = None
    duplicates: Annotated[str | None, optional("{first,last,max,keep}")] = None
    min_rating: Annotated[float | None, optional("FLOAT")] = None
    k_core: Annotated[int | None, optional("INT")] = None
    k_core_on: Annotated[str, conf.arg(metavar="{data,train}")] = "data"
    split: Annotated[str | None, optional("METHOD")] = None
    test: Annotated[float | None, optional("FLOAT")] = None
    valid: Annotated[float | None, optional("FLOAT")] = None
    valid_order: Annotated[str | None, optional("{random,data}")] = None
    ties: Annotated[str | None, optional("{shuffle,together}")] = None
    order: Annotated[str | None, optional("{time,random}")] = None
    folds: Annotated[int | None, optional("INT")] = None
    fold: Annotated[int | None, optional("INT")] = None
    split_seed: int = 0
