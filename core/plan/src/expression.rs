//! Expressions beyond plain lookups: Jinja, and conditions that need no interpreter.

use serde::{Deserialize, Serialize};

use crate::{Lookup, Path, Root};

/// A Jinja expression, checked at build time and evaluated by the runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jinja {
    /// The expression, without braces.
    pub source: String,
    /// Everything that it may look at: what is not listed is not there when it is evaluated.
    pub reads: Vec<Read>,
}

impl Jinja {
    /// The paths below a variable that it looks at.
    pub fn paths(&self, root: Root) -> impl Iterator<Item = &Path> {
        self.reads
            .iter()
            .filter(move |read| read.root == root)
            .map(|read| &read.path)
    }

    /// Whether a secret goes into it.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.reads.iter().any(|read| read.root == Root::Secrets)
    }
}

/// A value that an expression looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The variable.
    pub root: Root,
    /// The way from there to the value; empty for the variable itself.
    pub path: Path,
}

/// Something that is true or not: when paging stops, which records are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Compares lookups and constants; evaluated on captured values alone.
    Predicate(Predicate),
    /// Everything else; true by the rules of Python.
    Jinja(Jinja),
}

impl Condition {
    /// The paths below a variable that it looks at, each once.
    #[must_use]
    pub fn paths(&self, root: Root) -> Vec<Path> {
        let mut paths: Vec<Path> = Vec::new();
        match self {
            Self::Jinja(jinja) => paths.extend(jinja.paths(root).cloned()),
            Self::Predicate(predicate) => predicate.visit(&mut |lookup| {
                if lookup.root == root && !paths.contains(&lookup.path) {
                    paths.push(lookup.path.clone());
                }
            }),
        }
        paths
    }
}

/// A condition over lookups and constants. What a lookup does not find is null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Predicate {
    /// All of them hold.
    All(Vec<Self>),
    /// One of them holds.
    Any(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// The value is neither null nor false nor zero nor empty.
    Truth(Operand),
    /// The value is null.
    Null(Operand),
    /// Two values compare like this.
    Compare(Operand, Comparison, Operand),
}

impl Predicate {
    fn visit(&self, see: &mut impl FnMut(&Lookup)) {
        match self {
            Self::All(all) | Self::Any(all) => {
                for one in all {
                    one.visit(see);
                }
            }
            Self::Not(one) => one.visit(see),
            Self::Truth(operand) | Self::Null(operand) => operand.visit(see),
            Self::Compare(left, _, right) => {
                left.visit(see);
                right.visit(see);
            }
        }
    }
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operand {
    /// A value that is looked up.
    Lookup(Lookup),
    /// A constant.
    Literal(serde_json::Value),
}

impl Operand {
    fn visit(&self, see: &mut impl FnMut(&Lookup)) {
        if let Self::Lookup(lookup) = self {
            see(lookup);
        }
    }
}

/// How two values compare.
///
/// Numbers compare by value, texts by their bytes. Values of different types are not equal, and no
/// order holds between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// `==`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `in`: an element of a list, a part of a text, a key of an object.
    In,
}

/// The functions that expressions know.
pub const FUNCTIONS: &[&str] = &[
    "day_delta",
    "dict",
    "duration",
    "format_datetime",
    "max",
    "min",
    "now_utc",
    "range",
    "str_to_datetime",
    "strptime",
    "timestamp",
    "today_utc",
    "today_with_timezone",
];

/// The filters that expressions know.
pub const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "base64decode",
    "base64encode",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "format",
    "format_datetime",
    "groupby",
    "hash",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "regex_replace",
    "regex_search",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "strptime",
    "sum",
    "timestamp",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
    "urlencode",
    "zip",
];

/// The tests (`is …`) that expressions know.
pub const TESTS: &[&str] = &[
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "safe",
    "sameas",
    "sequence",
    "startingwith",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
];
