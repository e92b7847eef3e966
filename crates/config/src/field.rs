//! A key of an experiment file as it is declared: what it holds, what holds without it, and what it is for.
//!
//! Messages, `--set`, the rewriting of paths and the reference page all go by these declarations. [`super::read::Reader`]
//! reads no key that is not declared, and asks for none that may be absent.

use super::kinds::Makes;

/// A key of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// The key as it is written, such as `weight-decay`.
    pub name: &'static str,
    /// What it is for, in a sentence without a full stop.
    pub about: &'static str,
    /// A value as one would write it.
    pub example: &'static str,
    /// What kind of value it holds.
    pub holds: Holds,
    /// What may stand below it.
    pub below: Below,
    /// What it means to leave it out.
    pub absent: Absent,
}

/// What kind of value a key holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Holds {
    /// A string, such as a title.
    Text,
    /// One of these names.
    OneOf(fn() -> Vec<&'static str>),
    /// A whole number.
    Whole,
    /// A finite number, whole or not.
    Number,
    /// `true` or `false`.
    Flag,
    /// A path, relative to the file in which it is written.
    Path,
    /// A stage that makes one of these.
    Stage(&'static [Makes]),
    /// One half of what such a stage makes: `STAGE.test`.
    Half(&'static [Makes]),
    /// One half of a data set or of subsets: `NAME.test`.
    Images,
    /// A data set.
    Data,
    /// A list, of what.
    List(&'static str),
    /// A table, or a value in its place, which is said.
    Table(&'static str),
}

/// What may stand below a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Below {
    /// Nothing: it holds a value or a list of values.
    Nothing,
    /// Nothing: it holds a path, or several, relative to the file in which it is written.
    Path,
    /// A table with these keys.
    Keys(&'static [Field]),
    /// A list of tables with these keys.
    Rows(&'static [Field]),
    /// A table from axes to values.
    Axes,
    /// A table from names that the user chooses to tables with these keys.
    Named(&'static [Field]),
    /// Stages by name; their keys depend on their kind.
    Stages,
}

/// What it means to leave a key out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Absent {
    /// A problem is reported, as the key must be there.
    Fault,
    /// This value, or what follows.
    Means(&'static str),
    /// An error in some cases, which are said.
    Depends(&'static str),
}

impl Field {
    /// It may be left out, which means `default`.
    pub const fn or(self, default: &'static str) -> Self {
        Self { absent: Absent::Means(default), ..self }
    }

    /// It must be there in some cases, or be absent in some.
    pub const fn depends(self, when: &'static str) -> Self {
        Self { absent: Absent::Depends(when), ..self }
    }

    /// With another example and other words on what it is for.
    pub const fn here(self, about: &'static str, example: &'static str) -> Self {
        Self { about, example, ..self }
    }
}

const fn field(name: &'static str, about: &'static str, example: &'static str, holds: Holds, below: Below) -> Field {
    Field { name, about, example, holds, below, absent: Absent::Fault }
}

/// A key that holds a string.
pub(super) const fn text(name: &'static str, about: &'static str, example: &'static str) -> Field {
    field(name, about, example, Holds::Text, Below::Nothing)
}

/// One of some names.
pub(super) const fn one_of(
    name: &'static str,
    about: &'static str,
    example: &'static str,
    names: fn() -> Vec<&'static str>,
) -> Field {
    field(name, about, example, Holds::OneOf(names), Below::Nothing)
}

/// A whole number.
pub(super) const fn whole(name: &'static str, about: &'static str, example: &'static str) -> Field {
    field(name, about, example, Holds::Whole, Below::Nothing)
}

/// A key that holds a finite number, whole or not.
pub(super) const fn number(name: &'static str, about: &'static str, example: &'static str) -> Field {
    field(name, about, example, Holds::Number, Below::Nothing)
}

/// `true` or `false`.
pub(super) const fn flag(name: &'static str, about: &'static str, example: &'static str) -> Field {
    field(name, about, example, Holds::Flag, Below::Nothing)
}

/// A key that holds a path, relative to the file in which it is written.
pub(super) const fn path(name: &'static str, about: &'static str, example: &'static str) -> Field {
    field(name, about, example, Holds::Path, Below::Path)
}

/// The name of a stage that makes one of `makes`.
pub(super) const fn stage(
    name: &'static str,
    about: &'static str,
    example: &'static str,
    makes: &'static [Makes],
) -> Field {
    field(name, about, example, Holds::Stage(makes), Below::Nothing)
}

/// One half of what such a stage makes.
pub(super) const fn half(
    name: &'static str,
    about: &'static str,
    example: &'static str,
    makes: &'static [Makes],
) -> Field {
    field(name, about, example, Holds::Half(makes), Below::Nothing)
}

/// One half of a data set, or of the subsets of a `mask` stage.
pub(super) const fn images(name: &'static str, about: &'static str, example: &'static str) -> Field {
    field(name, about, example, Holds::Images, Below::Nothing)
}

/// The name of a data set.
pub(super) const fn data(name: &'static str, about: &'static str, example: &'static str) -> Field {
    field(name, about, example, Holds::Data, Below::Nothing)
}

/// A list of `of`.
pub(super) const fn list(name: &'static str, about: &'static str, example: &'static str, of: &'static str) -> Field {
    field(name, about, example, Holds::List(of), Below::Nothing)
}

/// A table with these keys.
pub(super) const fn table(
    name: &'static str,
    about: &'static str,
    example: &'static str,
    keys: &'static [Field],
) -> Field {
    field(name, about, example, Holds::Table("a table"), Below::Keys(keys))
}

/// A table with these keys, or `otherwise` in its place.
pub(super) const fn table_or(
    name: &'static str,
    about: &'static str,
    example: &'static str,
    otherwise: &'static str,
    keys: &'static [Field],
) -> Field {
    field(name, about, example, Holds::Table(otherwise), Below::Keys(keys))
}

/// A list of tables with these keys.
pub(super) const fn rows(
    name: &'static str,
    about: &'static str,
    example: &'static str,
    keys: &'static [Field],
) -> Field {
    field(name, about, example, Holds::List("tables"), Below::Rows(keys))
}

/// Axes with the values that they must have of what another key names.
pub(super) const fn pins(name: &'static str) -> Field {
    let about = "Fixes axes of what the key before it names, which takes them out of the join";
    Field {
        absent: Absent::Means("none fixed"),
        ..field(name, about, "{ seed = 0 }", Holds::Table("a table of axes"), Below::Axes)
    }
}

/// A section that holds other things than a value: `below` says what.
pub(super) const fn section(name: &'static str, about: &'static str, example: &'static str, below: Below) -> Field {
    Field { absent: Absent::Means("none"), ..field(name, about, example, Holds::Table("a table"), below) }
}
