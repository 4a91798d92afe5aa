//! How the types of the spec language are declared: one table gives the type, its reader and its
//! JSON Schema, so that the three cannot differ.

/// Declares a mapping: a struct with a [`Key`](super::read::Key) per key.
///
/// `later` lists keys that the language has but this version does not; using one is an error that
/// says so.
macro_rules! mapping {
    (
        $(#[doc = $text:literal])+
        $name:ident, $what:literal;
        $(
            $(#[doc = $key_text:literal])+
            $field:ident: $type:ty = $key:literal $(| $alias:literal)*
                $(, default $default:tt)? $(=> $required:ident)?;
        )*
        later { $($later:literal => $hint:literal,)* }
    ) => {
        $(#[doc = $text])+
        #[derive(Clone, Debug)]
        pub(crate) struct $name {
            /// What to point at when something is missing.
            pub blame: $crate::source::Span,
            $(
                $(#[doc = $key_text])+
                pub $field: $crate::spec::read::Key<$type>,
            )*
        }

        impl $name {
            const KEYS: &[$crate::spec::read::KeyInfo] = &[$(
                $crate::spec::read::KeyInfo { name: $key, aliases: &[$($alias),*] },
            )*];

            /// The mapping with nothing in it.
            pub(crate) fn empty(blame: $crate::source::Span) -> Self {
                Self { blame, $($field: $crate::spec::read::Key::Absent,)* }
            }

            /// Reads a mapping; `tag` is a key that the caller has read.
            pub(crate) fn read(
                node: &$crate::yaml::Node,
                tag: Option<&str>,
                reporter: &mut $crate::spec::read::Reporter<'_>,
            ) -> Option<Self> {
                let mut this = Self::empty(node.blame);
                for entry in $crate::spec::read::entries(node, reporter)? {
                    match entry.key.text.as_str() {
                        key if Some(key) == tag => {}
                        $($key $(| $alias)* => this.$field.read(entry, reporter),)*
                        $($later => reporter.not_supported(
                            concat!("`", $later, "`"),
                            entry.key.span,
                            $hint,
                        ),)*
                        _ => reporter.unknown_key(&entry.key, $what, Self::KEYS, &[$($later),*]),
                    }
                }
                Some(this)
            }

            /// The schema; `tag` are the names of the variant that this mapping is.
            pub(crate) fn schema(
                generator: &mut schemars::SchemaGenerator,
                tag: Option<(&[&str], bool)>,
            ) -> schemars::Schema {
                let keys = vec![$(
                    $crate::spec::schema::Property {
                        name: $key,
                        aliases: &[$($alias),*],
                        documentation: concat!($($key_text, "\n"),+),
                        default: mapping!(@default $($default)?),
                        required: mapping!(@required $($required)?),
                        schema: $crate::spec::schema::of::<$type>(generator),
                    },
                )*];
                $crate::spec::schema::object(concat!($($text, "\n"),+), tag, keys)
            }
        }

        impl $crate::spec::read::FromNode for $name {
            fn from_node(
                node: &$crate::yaml::Node,
                reporter: &mut $crate::spec::read::Reporter<'_>,
            ) -> Option<Self> {
                Self::read(node, None, reporter)
            }
        }

        impl $crate::spec::read::Over for $name {
            fn over(&self, defaults: &Self) -> Self {
                Self { blame: self.blame, $($field: self.$field.or(&defaults.$field),)* }
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).trim_end_matches("Spec").into()
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                Self::schema(generator, None)
            }
        }
    };
    (@default) => { None };
    (@default $default:tt) => { Some(serde_json::json!($default)) };
    (@required) => { false };
    (@required required) => { true };
}

/// Declares an enumeration of words. The first word of a variant is its own, others are aliases.
macro_rules! choice {
    (
        $(#[doc = $text:literal])+
        $name:ident, $what:literal;
        $($variant:ident = $word:literal $(| $alias:literal)*;)*
        => later { $($later:literal => $hint:literal,)* }
    ) => {
        $(#[doc = $text])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($variant,)* }

        impl $crate::spec::read::FromNode for $name {
            fn from_node(
                node: &$crate::yaml::Node,
                reporter: &mut $crate::spec::read::Reporter<'_>,
            ) -> Option<Self> {
                let $crate::yaml::Value::String(word) = &node.value else {
                    reporter.wrong_type(node, $crate::words::list(&[$($word),*], "or").as_str());
                    return None;
                };
                match word.as_str() {
                    $($word $(| $alias)* => return Some(Self::$variant),)*
                    $($later => reporter.not_supported(
                        concat!($what, " `", $later, "`"),
                        node.span,
                        $hint,
                    ),)*
                    _ => reporter.unknown_value($what, word, node.span, &[$($word),*]),
                }
                None
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool { true }
            fn schema_name() -> std::borrow::Cow<'static, str> { stringify!($name).into() }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::spec::schema::words(
                    concat!($($text, "\n"),+),
                    &[$($word, $($alias,)*)*],
                )
            }
        }
    };
}

/// Declares a mapping whose `type` chooses its keys; the name alone is short for a mapping with
/// nothing else in it.
macro_rules! tagged {
    (
        $(#[doc = $text:literal])+
        $name:ident, $what:literal $(, default $default:literal)? $(=> expect $lint:ident)?;
        $($variant:ident($type:ident) = $word:literal $(| $alias:literal)*;)*
        => later { $($later:literal => $hint:literal,)* }
    ) => {
        $(#[doc = $text])+
        #[derive(Clone, Debug)]
        $(#[expect(clippy::$lint, reason = "there are few, and they live shortly")])?
        pub(crate) enum $name { $(#[doc = $word] $variant($type),)* }

        impl $crate::spec::read::FromNode for $name {
            fn from_node(
                node: &$crate::yaml::Node,
                reporter: &mut $crate::spec::read::Reporter<'_>,
            ) -> Option<Self> {
                let words = [$($word),*];
                let default: Option<&str> = tagged!(@default $($default)?);
                let (word, span, node) = $crate::spec::read::tag(node, default, $what, &words, reporter)?;
                match word {
                    $($word $(| $alias)* => {
                        return $type::read(&node, Some("type"), reporter).map(Self::$variant);
                    })*
                    $($later => reporter.not_supported(
                        concat!($what, " `", $later, "`"),
                        span,
                        $hint,
                    ),)*
                    word => reporter.unknown_value($what, word, span, &words),
                }
                None
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).trim_end_matches("Spec").into()
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let default: Option<&str> = tagged!(@default $($default)?);
                let variants = vec![$(
                    $type::schema(generator, Some((&[$word, $($alias),*], default != Some($word)))),
                )*];
                $crate::spec::schema::union(
                    concat!($($text, "\n"),+),
                    &[$($word, $($alias,)*)*],
                    variants,
                )
            }
        }
    };
    (@default) => { None };
    (@default $default:literal) => { Some($default) };
}
